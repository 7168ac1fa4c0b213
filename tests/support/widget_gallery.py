"""Widgets with every component in most of its shapes."""

from typing import Any

from chatkit.widgets import DynamicWidgetRoot

type Node = dict[str, Any]

ICONS = (
    "agent analytics atom batch bolt book-open book-closed book-clock bug calendar chart check "
    "check-circle check-circle-filled chevron-left chevron-right circle-question clock compass "
    "confetti cube desktop document dot dots-horizontal dots-vertical empty-circle external-link "
    "globe keys lab images info lifesaver lightbulb mail map-pin maps mobile name notebook "
    "notebook-pencil page-blank phone play plus profile profile-card reload star star-filled "
    "search sparkle sparkle-double square-code square-image square-text suitcase settings-slider "
    "user wreath write write-alt write-alt2 lucide:rocket vendor:printer"
).split()

PICTURE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 320 160'%3E"
    "%3Crect width='320' height='160' fill='%23cfe6df'/%3E"
    "%3Ccircle cx='240' cy='52' r='26' fill='%23f2c57c'/%3E"
    "%3Cpath d='M0 130 80 62l56 44 62-58 122 82v30H0z' fill='%234d8076'/%3E%3C/svg%3E"
)

SIZES = ("3xs", "2xs", "xs", "sm", "md", "lg", "xl", "2xl", "3xl")
BADGES = ("secondary", "success", "danger", "warning", "info", "discovery")
BUTTONS = (
    *("primary", "secondary", "info", "discovery"),
    *("success", "caution", "warning", "danger"),
)
VISITS = [
    {"day": day, "web": web, "phone": phone, "forecast": forecast}
    for day, web, phone, forecast in (
        ("Mon", 186, 80, 210),
        ("Tue", 305, 200, 260),
        ("Wed", 237, 120, 270),
        ("Thu", 173, 190, 240),
        ("Fri", 409, 130, 330),
        ("Sat", 314, 140, 360),
    )
]


def node(kind: str, *children: Node, **props: Any) -> Node:
    """Return a component."""
    return {"type": kind, **({"children": list(children)} if children else {}), **props}


def text(value: str, **props: Any) -> Node:
    """Return a text."""
    return node("Text", value=value, **props)


def row(*children: Node, **props: Any) -> Node:
    """Return components beside each other; below each other where there is no room."""
    return node("Row", *children, **({"gap": 2, "wrap": "wrap"} | props))


def card(status: str, icon: str, *children: Node, **props: Any) -> Node:
    """Return a card with a status line."""
    return node(
        "Card", *children, status={"text": status, "icon": icon}, **({"size": "lg"} | props)
    )


def field(label: str, control: Node) -> Node:
    """Return a field below its label."""
    name = control.get("name") or control["editable"]["name"]
    return node("Col", node("Label", value=label, fieldName=name), control, gap=1)


def echo(**payload: Any) -> Node:
    """Return an action that is answered with its payload."""
    return {"type": "echo", "payload": payload or None}


def _texts() -> Node:
    colors = ("prose", "emphasis", "secondary", "tertiary", "success", "warning", "danger")
    return card(
        *("Text", "square-text"),
        *(node("Title", value=f"Title {size}", size=size) for size in (*SIZES[3:], "4xl")),
        node("Title", value="A title that is too long for its line " * 3, truncate=True),
        node("Divider"),
        row(*(text(size, size=size) for size in SIZES[2:7]), align="baseline"),
        row(*(text(name, weight=name) for name in ("normal", "medium", "semibold", "bold"))),
        row(*(text(name, color=name, size="sm") for name in colors)),
        row(
            text("italic", italic=True),
            text("struck", lineThrough=True),
            text("red", color={"light": "red-600", "dark": "red-300"}),
            text("pair", color={"light": "purple-700", "dark": "purple-300"}),
        ),
        text("Two lines at most. " * 14, maxLines=2),
        text("Room for three lines", minLines=3, size="sm", color="secondary"),
        row(*(node("Caption", value=f"Caption {size}", size=size) for size in ("sm", "md", "lg"))),
        text("centred", textAlign="center"),
        node("Markdown", value="Some **Markdown** with `code`, and\n\n- a list\n- of two"),
    )


def _pictures() -> Node:
    return card(
        *("Badges, icons, images", "images"),
        *(
            row(*(node("Badge", label=name, color=name, variant=variant) for name in BADGES))
            for variant in ("soft", "solid", "outline")
        ),
        row(*(node("Badge", label=size, size=size, pill=True) for size in ("sm", "md", "lg"))),
        row(*(node("Icon", name="sparkle", size=size) for size in SIZES[2:])),
        row(*(node("Icon", name=name, size="xl", key=name) for name in ICONS), gap=3),
        node("Image", src=PICTURE, alt="Hills", height=120, width="100%", fit="cover", frame=True),
        row(
            node("Image", src=PICTURE, alt="Small", size=56, fit="cover", radius="full"),
            node("Image", src="https://elsewhere.example/x.png", alt="From elsewhere", size=96),
        ),
    )


def _buttons() -> Node:
    return card(
        *("Buttons", "bolt"),
        *(
            row(
                *(
                    node("Button", label=name, color=name, variant=variant, size="sm")
                    for name in BUTTONS
                )
            )
            for variant in ("solid", "soft", "outline", "ghost")
        ),
        row(*(node("Button", label=size, size=size) for size in SIZES)),
        row(
            node("Button", label="Primary", style="primary"),
            node("Button", label="Secondary", style="secondary"),
            node("Button", label="Pill", pill=True, iconStart="sparkle"),
            node("Button", iconStart="reload", uniform=True),
            node("Button", label="Next", iconEnd="chevron-right"),
            node("Button", label="Disabled", style="primary", disabled=True),
        ),
        node("Button", label="Whole width", block=True, style="primary"),
    )


def form(**props: Any) -> Node:
    """Return a card that is a form with every kind of field."""
    seats = [
        {"value": "window", "label": "Window", "description": "With a view"},
        {"value": "aisle", "label": "Aisle"},
        {"value": "wing", "label": "On the wing", "disabled": True},
    ]
    meals = [{"value": "veg", "label": "Vegetables"}, {"value": "fish", "label": "Fish"}]
    days = {"min": "2026-03-02T00:00:00", "max": "2026-05-20T00:00:00"}
    first = {"block": True, "clearable": True}
    return card(
        *("Fields", "write"),
        field("Name", node("Input", name="person.name", placeholder="Ada", required=True)),
        field("E-mail", node("Input", name="person.mail", inputType="email", variant="soft")),
        field("Note", node("Textarea", name="note", rows=2, autoResize=True, defaultValue="Hm.")),
        field("Seat", node("Select", name="seat", options=seats, defaultValue="aisle", **first)),
        field(
            "Day",
            node("DatePicker", name="day", defaultValue="2026-03-14T00:00:00", **first, **days),
        ),
        node("Checkbox", name="terms", label="I agree to the terms", defaultChecked=True),
        field("Meal", node("RadioGroup", name="meal", options=meals, defaultValue="veg")),
        field("Title", text("Edit me", editable={"name": "title", "required": True})),
        **({"size": "md", "asForm": True} | props),
    )


def rows() -> Node:
    """Return a list with more rows than it shows at first."""
    names = ("mail", "map-pin", "calendar", "phone", "user")
    return node(
        "ListView",
        *(
            node(
                "ListViewItem",
                node("Icon", name=name, size="lg", color="secondary"),
                node(
                    "Col",
                    text(f"Row {number}", weight="medium"),
                    node("Caption", value=f"What there is to say about row {number}"),
                ),
                node("Spacer"),
                node("Badge", label="new", color="info"),
                key=f"row{number}",
                onClickAction=echo(row=number),
            )
            for number, name in enumerate(names, start=1)
        ),
        limit=3,
        status={"text": "A list", "icon": "book-open"},
    )


def split_rows() -> Node:
    """Return a list with a row that has a button in it, and one that does nothing."""
    inner = node("Button", label="Inner", size="sm", onClickAction=echo(inner=True))
    return node(
        "ListView",
        node(
            "ListViewItem",
            *(text("A row with a button"), node("Spacer"), inner),
            onClickAction=echo(row="split"),
        ),
        node("ListViewItem", text("A row that does nothing", color="secondary")),
    )


def _layout() -> Node:
    pair = {"light": "green-200", "dark": "green-1000"}
    return card(
        *("Layout", "square-code"),
        row(
            *(
                node(
                    "Box",
                    node("Caption", value=radius, size="sm"),
                    size=40,
                    radius=radius,
                    key=radius,
                    background=pair,
                    align="center",
                    justify="center",
                )
                for radius in ("none", "2xs", "md", "xl", "3xl", "full")
            )
        ),
        row(
            node("Box", text("flex 1"), flex=1, padding=3, border=1, radius="md"),
            node(
                "Box",
                text("flex 2"),
                flex=2,
                padding={"x": 6, "y": 2},
                border={"size": 2, "style": "dashed", "color": "strong"},
                radius="md",
                background="surface-secondary",
            ),
            wrap="nowrap",
        ),
        node("Divider", flush=True, spacing=1),
        row(text("left"), node("Spacer"), text("right")),
        row(
            *(text("a"), node("Divider", color="strong", size=2), text("b")),
            *(node("Divider"), text("c")),
            align="stretch",
        ),
        node(
            "Box",
            aspectRatio="6 / 1",
            width="100%",
            radius="lg",
            background="linear-gradient(90deg, #0b6b5e, #6d3fc8)",
        ),
        node("Transition", children=text("In a transition", key="first")),
        node("Hologram", text("never shown")),
        node("Image", src=PICTURE, alt="Flush hills", flush=True, height=80, fit="cover"),
        size="full",
    )


def table() -> Node:
    """Return a table."""

    def cells(*children: Node) -> Node:
        aligned = zip(children, ("start", "end", "center"), strict=True)
        return node(
            "Table.Row", *(node("Table.Cell", child, align=align) for child, align in aligned)
        )

    cities = (("Uppsala", "177,074", "success"), ("Turku", "201,863", "success"))
    return node(
        "Card",
        node(
            "Table",
            cells(text("City"), text("People"), text("State")) | {"header": True},
            *(
                cells(text(city), text(people), node("Badge", label=state, color=state))
                for city, people, state in cities
            ),
            node(
                "Table.Row",
                node("Table.Cell", node("Caption", value="Source: nobody knows"), colSpan=3),
            ),
        ),
        size="lg",
    )


def _charts() -> list[Node]:
    web = {"dataKey": "web", "label": "Web"}
    phone = {"dataKey": "phone", "label": "Phone"}
    line = {"type": "line", "dataKey": "forecast", "label": "Forecast", "color": "orange"}
    bars = [{"type": "bar", "stack": "a", **one} for one in (web, phone)]
    areas = [
        {"type": "area", "curveType": "natural", **web},
        {"type": "area", "curveType": "step", "color": "pink", **phone},
    ]
    named = {"dataKey": "day", "labels": {"Mon": "Monday"}}
    return [
        node(
            "Card",
            node("Title", value="Visits", size="sm"),
            node("Chart", data=VISITS, xAxis="day", showYAxis=True, series=[*bars, line]),
            size="lg",
        ),
        node("Card", node("Chart", data=VISITS, xAxis=named, height=180, series=areas), size="lg"),
    ]


def gallery() -> list[DynamicWidgetRoot]:
    """Return every widget."""
    done = {"confirm": {"label": "Save", "action": echo()}}
    undone = {"cancel": {"label": "Cancel", "action": echo()}}
    dark = node(
        "Card",
        node("Title", value="Always dark"),
        text("Whatever is around it", color="secondary"),
        node("Button", label="Fine", style="primary"),
        theme="dark",
        background={"light": "gray-100", "dark": "gray-900"},
        border={"size": 2, "color": "strong"},
        padding=6,
    )
    sent = card("Sent", "check-circle-filled", text("What was sent"), collapsed=True, size="sm")
    basic = node("Basic", node("Title", value="A basic root", size="sm"), text("Without a frame."))
    roots = [
        *(_texts(), _pictures(), _buttons(), form(**done, **undone), rows(), split_rows()),
        *(_layout(), table(), *_charts(), dark, sent, basic),
    ]
    return [DynamicWidgetRoot.model_validate(root) for root in roots]
