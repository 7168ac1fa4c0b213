import './dom.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MarkdownStream, renderMarkdown } from '../src/markdown.js';

const LABELS = { copy: 'Copy', code: 'Code' };

function html(text: string): string {
  const holder = document.createElement('div');
  holder.append(renderMarkdown(text, LABELS));
  return holder.innerHTML;
}

/** Feeds the text in prefixes of every length; calls back with the whole DOM after each. */
function stream(text: string, step: number, seen: (holder: HTMLElement, upTo: number) => void) {
  const renderer = new MarkdownStream(LABELS);
  let settled = document.createElement('div');
  for (let end = step; ; end += step) {
    const done = end >= text.length;
    const update = renderer.update(text.slice(0, end), !done);
    if (update.restart) settled = document.createElement('div');
    if (update.settled) settled.append(update.settled);
    const holder = settled.cloneNode(true) as HTMLElement;
    holder.append(update.tail);
    seen(holder, Math.min(end, text.length));
    if (done) return;
  }
}

const DOCUMENT = `# A title with **bold** words

Some text with **bold**, *italics*, ***both***, ~~gone~~, \`code\` and a [link](https://example.com/a_(b)).
A second line, 2 * 3 = 6 and snake_case_name stay as they are & so does AT&T.

- one **item**
- two
  - nested with \`code\`

  a paragraph inside

1. first
2. second

10. ten

- [ ] open task
- [x] done task

> a quote with **strong**
> and more

\`\`\`python
def f(x):
    return x ** 2  # **not bold**
\`\`\`

| name | value |
|:-----|------:|
| a    | **1** |
| b    | 2     |

A heading below
---------------

~~~
tilde \`\`\` fence
~~~

***

The end ![picture](https://example.com/p.png) of <b>it</b> at https://example.com/x.
`;

test('GFM is rendered', () => {
  const out = html(DOCUMENT);
  for (const part of [
    '<h1>A title with <strong>bold</strong> words</h1>',
    '<s>gone</s>',
    '<table>',
    'class="align-right"',
    '<input type="checkbox" disabled="" checked="">',
    '<code class="language-python">def f(x):',
    'href="https://example.com/a_(b)"',
    'href="https://example.com/x"',
  ]) {
    assert.ok(out.includes(part), `${part} in ${out}`);
  }
  assert.ok(!out.includes('[x]'));
});

test('HTML in the text stays text', () => {
  const out = html('<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> <b onclick=x>b</b>');
  assert.ok(!/<(script|img|b)\b/.test(out), out);
  assert.ok(out.includes('&lt;script&gt;'));
});

test('only http, https and mail addresses become links', () => {
  for (const bad of [
    '[x](javascript:alert(1))',
    '[x](JaVaScRiPt:alert(1))',
    '[x](  javascript&colon;alert(1))',
    '[x](java\tscript:alert(1))',
    '[x](data:text/html,<script>1</script>)',
    '[x](vbscript:a)',
    '[x](//evil.example/)',
    '[x](/relative)',
    '<javascript:alert(1)>',
    '![x](javascript:alert(1))',
    '![x](data:image/svg+xml;base64,AAAA)',
    '[a]: javascript:alert(1)\n\n[a]',
  ]) {
    assert.ok(!html(bad).includes('href'), `${bad} → ${html(bad)}`);
  }
  const good = html('[x](https://a.example) <mail@a.example> http://b.example');
  assert.equal(good.match(/target="_blank"/g)?.length, 3);
  assert.equal(good.match(/rel="noopener noreferrer"/g)?.length, 3);
});

test('an unsafe link leaves its text', () => {
  assert.equal(html('see [the *text*](javascript:x) here'), '<p>see the <em>text</em> here</p>\n');
});

test('an image is shown as a link and never loaded', () => {
  const out = html('![a cat](https://cats.example/1.png)');
  assert.ok(!out.includes('<img') && !out.includes('src='), out);
  assert.ok(out.includes('href="https://cats.example/1.png"') && out.includes('>a cat</a>'));
});

test('attribute injection through titles, languages and alt texts is inert', () => {
  const out = html(
    '[a](https://x.example "\\" onmouseover=\\"x") ![" onerror="](https://x.example)\n\n```"><img src=x>\n```',
  );
  const holder = document.createElement('div');
  holder.innerHTML = out;
  for (const element of holder.querySelectorAll('*')) {
    for (const { name } of element.attributes) assert.ok(!name.startsWith('on'), out);
  }
  assert.equal(holder.querySelector('img'), null);
});

test('no style attribute is produced', () => {
  assert.ok(!html('| a |\n|:-:|\n| b |').includes('style'));
});

test('a streamed document ends as the whole document', () => {
  for (const step of [1, 7, 64]) {
    let last = '';
    stream(DOCUMENT, step, (holder) => {
      last = holder.innerHTML;
    });
    assert.equal(last, html(DOCUMENT));
  }
});

test('a document written by prefixes never shows a dangling marker', () => {
  const visible = (holder: HTMLElement): string => {
    const copy = holder.cloneNode(true) as HTMLElement;
    for (const code of copy.querySelectorAll('code')) code.remove();
    return copy.textContent ?? '';
  };
  stream(DOCUMENT, 1, (holder, upTo) => {
    const text = visible(holder);
    const bad = /\*\*|~~|```|^#|\]\(|!\[|(?<=\s)_|\|/m.exec(text);
    assert.equal(
      bad,
      null,
      `${JSON.stringify(DOCUMENT.slice(Math.max(0, upTo - 40), upTo))}: ${text.slice(-80)}`,
    );
    for (const code of holder.querySelectorAll('pre code')) {
      assert.ok(!/^(?:`{1,3}|~{1,3})$/m.test(code.textContent ?? ''), code.textContent ?? '');
    }
  });
});

test('what was shown while streaming is only ever added to, block by block', () => {
  let before: string[] = [];
  stream(DOCUMENT, 1, (holder) => {
    const blocks = [...holder.children].map((element) => element.tagName);
    const stable = before.slice(0, -1);
    assert.deepEqual(blocks.slice(0, stable.length), stable);
    before = blocks;
  });
});

test('a bare marker at the end is not shown', () => {
  for (const [text, shown] of [
    ['hello **', 'hello'],
    ['hello **wor', 'hello wor'],
    ['hello **world*', 'hello world'],
    ['hello `', 'hello'],
    ['hello `co', 'hello co'],
    ['see [the do', 'see the do'],
    ['see [the docs](https://exa', 'see the docs'],
    ['see ![a pic', 'see'],
    ['a ~~b', 'a b'],
    ['- item **bo', 'item bo'],
    ['```py', ''],
    ['text\n\n``', 'text'],
    ['text\n\n| a | b |', 'text'],
    ['text\n\n| a | b |\n|--', 'text'],
    ['- ', ''],
    ['1', ''],
    ['AT&am', 'AT'],
  ] as const) {
    const tail = new MarkdownStream(LABELS).update(text, true).tail;
    assert.equal((tail.textContent ?? '').trim(), shown, JSON.stringify(text));
  }
});

test('work per step does not grow with the answer', () => {
  const renderer = new MarkdownStream(LABELS);
  const paragraph = 'word '.repeat(40).trim();
  let text = '';
  let longest = 0;
  for (let i = 0; i < 200; i++) {
    text += `${paragraph}\n\n`;
    const { tail } = renderer.update(text, true);
    longest = Math.max(longest, tail.textContent?.length ?? 0);
  }
  assert.ok(longest < 3 * paragraph.length, `${longest}`);
});

test('ten thousand nested openers are answered in time', () => {
  const before = process.cpuUsage(); // others on the machine do not count
  new MarkdownStream(LABELS).update(`${'*a **b '.repeat(5000)}`, true);
  new MarkdownStream(LABELS).update('['.repeat(3000), true);
  assert.ok(process.cpuUsage(before).user < 10_000_000);
});

test('formulas are marked with their source, prices are not', () => {
  assert.equal(html('so $x^2$ is'), '<p>so <code class="formula">x^2</code> is</p>\n');
  assert.equal(html('so \\(x_1\\) is'), '<p>so <code class="formula">x_1</code> is</p>\n');
  assert.equal(html('from $5 to $10'), '<p>from $5 to $10</p>\n');
  assert.equal(html('$$\na\n\n- b\n$$\n'), '<p><code class="formula display">a\n\n- b</code></p>');
  assert.equal(html('$$ a'), '<p>$$ a</p>\n');
  assert.equal(html('`$x$`'), '<p><code>$x$</code></p>\n');
});

test('half a formula is never shown', () => {
  stream('We know $a^2 + b^2$ and\n\n$$\n\\frac{1}{2}\n$$\n\nso \\(c\\) it is.', 1, (holder) => {
    const rest = holder.cloneNode(true) as HTMLElement;
    for (const formula of rest.querySelectorAll('.formula')) formula.remove();
    assert.doesNotMatch(rest.textContent ?? '', /[$\\{^]/);
  });
});
