/**
 * `setOptions` input, checked once at the door. A wrong value is a `TypeError` that names its path
 * ("composer.models[1].label must be a string"); an unknown name is one too, because a misspelt
 * option that is silently ignored costs an afternoon.
 */
import type { ChatKitOptions as AnyOptions, CustomApiConfig } from '@openai/chatkit';

/** The documented options with the one kind of `api` a self-hosted element can have. */
export type ChatKitOptions = AnyOptions & { api: ApiConfig };

/** The documented `api`, and what this element knows besides. */
export interface ApiConfig extends CustomApiConfig {
  /**
   * Whether the server keeps turns, as Chatkeep does: true also asks a server of another origin to
   * resume and to follow, false asks none. Left out, the element finds out by itself.
   */
  resumable?: boolean;
}

type Check = (value: unknown, path: string) => void;

interface Field {
  check: Check;
  required: boolean;
}

function fail(path: string, expected: string): never {
  throw new TypeError(`${path} must be ${expected}`);
}

const string: Check = (value, path) => {
  if (typeof value !== 'string') fail(path, 'a string');
};
const boolean: Check = (value, path) => {
  if (typeof value !== 'boolean') fail(path, 'a boolean');
};
const number: Check = (value, path) => {
  if (typeof value !== 'number' || !Number.isFinite(value)) fail(path, 'a number');
};
const callback: Check = (value, path) => {
  if (typeof value !== 'function') fail(path, 'a function');
};
const filled: Check = (value, path) => {
  if (typeof value !== 'string' || value === '') fail(path, 'a string that is not empty');
};

function oneOf(...allowed: (string | number)[]): Check {
  const list = allowed.map((value) => JSON.stringify(value)).join(', ');
  return (value, path) => {
    if (!allowed.some((other) => other === value)) fail(path, `one of ${list}`);
  };
}

function list(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) fail(path, 'a list');
    value.forEach((entry, index) => {
      check(entry, `${path}[${index}]`);
    });
  };
}

function record(check: Check): Check {
  return (value, path) => {
    for (const [key, entry] of Object.entries(asObject(value, path))) {
      check(entry, `${path}.${key}`);
    }
  };
}

/** The first check that fits decides by type; what fits none is answered with `expected`. */
function either(expected: string, ...choices: [(value: unknown) => boolean, Check][]): Check {
  return (value, path) => {
    const choice = choices.find(([fits]) => fits(value));
    if (!choice) fail(path, expected);
    choice[1](value, path);
  };
}

function need(check: Check): Field {
  return { check, required: true };
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(path, 'an object');
  return value as Record<string, unknown>;
}

function shape(fields: Record<string, Check | Field>): Check {
  return (value, path) => {
    const object = asObject(value, path || 'options');
    const at = (key: string): string => (path === '' ? key : `${path}.${key}`);
    for (const key of Object.keys(object)) {
      if (!Object.hasOwn(fields, key)) throw new TypeError(`${at(key)} is not a known option`);
    }
    for (const [key, entry] of Object.entries(fields)) {
      const field = typeof entry === 'function' ? { check: entry, required: false } : entry;
      const given = object[key];
      // Frameworks pass `undefined` for what is not set.
      if (given !== undefined) field.check(given, at(key));
      else if (field.required) throw new TypeError(`${at(key)} is required`);
    }
  };
}

const isString = (value: unknown): boolean => typeof value === 'string';
const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

const customApi = shape({
  url: need(filled),
  fetch: callback,
  domainKey: string,
  resumable: boolean,
  uploadStrategy: (value, path) => {
    const { type } = asObject(value, path);
    oneOf('two_phase', 'direct')(type, `${path}.type`);
    shape(type === 'direct' ? { type: string, uploadUrl: need(filled) } : { type: string })(
      value,
      path,
    );
  },
});

const api: Check = (value, path) => {
  if ('getClientSecret' in asObject(value, path)) {
    throw new TypeError(
      `${path}.getClientSecret is for the hosted service; give ${path}.url of your own server`,
    );
  }
  customApi(value, path);
};

const scheme = oneOf('light', 'dark');

const theme = either(
  '"light", "dark" or an object',
  [isString, scheme],
  [
    isObject,
    shape({
      colorScheme: scheme,
      radius: oneOf('pill', 'round', 'soft', 'sharp'),
      density: oneOf('compact', 'normal', 'spacious'),
      typography: shape({
        baseSize: oneOf(14, 15, 16, 17, 18),
        fontFamily: string,
        fontFamilyMono: string,
        fontSources: list(
          shape({
            family: need(filled),
            src: need(filled),
            weight: either('a string or a number', [isString, string], [() => true, number]),
            style: oneOf('normal', 'italic', 'oblique'),
            display: oneOf('auto', 'block', 'swap', 'fallback', 'optional'),
            unicodeRange: string,
          }),
        ),
      }),
      color: shape({
        grayscale: shape({
          hue: need(number),
          tint: need(oneOf(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
          shade: oneOf(-4, -3, -2, -1, 0, 1, 2, 3, 4),
        }),
        accent: shape({ primary: need(filled), level: need(oneOf(0, 1, 2, 3)) }),
        surface: shape({ background: need(filled), foreground: need(filled) }),
      }),
    }),
  ],
);

const headerAction = shape({ icon: need(string), onClick: need(callback) });

const content: Check = (value, path) => {
  const { type } = asObject(value, path);
  oneOf('input_text', 'input_tag')(type, `${path}.type`);
  const tag = {
    id: need(filled),
    group: string,
    data: record(() => undefined),
    interactive: boolean,
  };
  shape({ type: string, text: need(string), ...(type === 'input_tag' ? tag : {}) })(value, path);
};

const composer = shape({
  placeholder: string,
  attachments: shape({
    enabled: need(boolean),
    maxSize: either('a number or an object', [isObject, record(number)], [() => true, number]),
    maxCount: number,
    accept: record(list(string)),
  }),
  tools: list(
    shape({
      id: need(filled),
      label: need(string),
      icon: need(string),
      shortLabel: string,
      placeholderOverride: string,
      pinned: boolean,
      persistent: boolean,
    }),
  ),
  models: list(
    shape({
      id: need(filled),
      label: need(string),
      description: string,
      disabled: boolean,
      default: boolean,
    }),
  ),
  dictation: shape({ enabled: need(boolean) }),
});

const options = shape({
  api: need(api),
  locale: string,
  theme,
  frameTitle: string,
  initialThread: either(
    'a string or null',
    [(value) => value === null, () => undefined],
    [() => true, string],
  ),
  onClientTool: callback,
  header: shape({
    enabled: boolean,
    title: shape({ enabled: boolean, text: string }),
    leftAction: headerAction,
    rightAction: headerAction,
  }),
  history: shape({ enabled: boolean, showDelete: boolean, showRename: boolean }),
  startScreen: shape({
    greeting: string,
    prompts: list(
      shape({
        label: need(string),
        prompt: need(either('a string or a list', [isString, string], [() => true, list(content)])),
        icon: string,
      }),
    ),
  }),
  threadItemActions: shape({ feedback: boolean, retry: boolean }),
  composer,
  disclaimer: shape({ text: need(string), highContrast: boolean }),
  entities: shape({
    onTagSearch: callback,
    showComposerMenu: boolean,
    onClick: callback,
    onRequestPreview: callback,
  }),
  commands: shape({ enabled: need(boolean), onSearch: callback, onSelect: callback }),
  widgets: shape({ onAction: callback }),
  thread: shape({ autoScroll: boolean }),
});

/** The options as they were given, or a `TypeError` that names what is wrong with them. */
export function parseOptions(value: unknown): ChatKitOptions {
  options(value, '');
  return value as ChatKitOptions;
}
