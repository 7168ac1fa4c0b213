import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions } from '../src/options.js';

const api = { url: './chatkit', domainKey: 'x' };

test('the documented options are accepted', () => {
  const fn = () => undefined;
  const options = {
    api: {
      ...api,
      fetch: fn,
      resumable: true,
      uploadStrategy: { type: 'direct', uploadUrl: '/up' },
    },
    locale: 'de-DE',
    frameTitle: 'Chat',
    initialThread: null,
    theme: {
      colorScheme: 'dark',
      radius: 'soft',
      density: 'compact',
      color: {
        grayscale: { hue: 220, tint: 6, shade: -1 },
        accent: { primary: '#123456', level: 2 },
        surface: { background: '#fff', foreground: '#000' },
      },
      typography: {
        baseSize: 15,
        fontFamily: 'Inter',
        fontFamilyMono: 'Mono',
        fontSources: [
          {
            family: 'Inter',
            src: '/i.woff2',
            weight: 400,
            style: 'normal',
            display: 'swap',
            unicodeRange: 'U+0-FF',
          },
        ],
      },
    },
    onClientTool: fn,
    header: {
      enabled: true,
      title: { enabled: true, text: 'T' },
      leftAction: { icon: 'home', onClick: fn },
      rightAction: { icon: 'close', onClick: fn },
    },
    history: { enabled: true, showDelete: false, showRename: true },
    startScreen: {
      greeting: 'Hi',
      prompts: [
        { label: 'A', prompt: 'a', icon: 'bolt' },
        {
          label: 'B',
          prompt: [
            { type: 'input_text', text: 'x' },
            { type: 'input_tag', text: 'y', id: '1', data: { a: 'b' } },
          ],
        },
      ],
    },
    threadItemActions: { feedback: true, retry: true },
    composer: {
      placeholder: 'Ask',
      attachments: {
        enabled: true,
        maxSize: { 'image/*': 10, '*': 20 },
        maxCount: 3,
        accept: { 'image/png': ['.png'] },
      },
      tools: [
        {
          id: 't',
          label: 'T',
          icon: 'search',
          shortLabel: 's',
          placeholderOverride: 'p',
          pinned: true,
          persistent: false,
        },
      ],
      models: [{ id: 'm', label: 'M', description: 'd', default: true, disabled: false }],
      dictation: { enabled: false },
    },
    disclaimer: { text: 'D', highContrast: true },
    entities: { onTagSearch: fn, showComposerMenu: true, onClick: fn, onRequestPreview: fn },
    commands: { enabled: true, onSearch: fn, onSelect: fn },
    widgets: { onAction: fn },
    thread: { autoScroll: true },
  };
  assert.equal(parseOptions(options), options as unknown);
  for (const theme of ['light', 'dark', {}, undefined]) parseOptions({ api, theme });
  parseOptions({
    api,
    initialThread: 'thr_1',
    composer: { attachments: { enabled: false, maxSize: 5 } },
  });
});

test('a wrong option is a TypeError that names its path', () => {
  const cases: [unknown, string][] = [
    [null, 'options must be an object'],
    [{}, 'api is required'],
    [{ api: { domainKey: 'x' } }, 'api.url is required'],
    [{ api: { ...api, url: '' } }, 'api.url must be a string that is not empty'],
    [{ api: { ...api, headers: {} } }, 'api.headers is not a known option'],
    [{ api: { getClientSecret: () => 's' } }, 'api.getClientSecret is for the hosted service'],
    [{ api, composr: {} }, 'composr is not a known option'],
    [{ api, theme: 'blue' }, 'theme must be one of "light", "dark"'],
    [{ api, theme: 3 }, 'theme must be "light", "dark" or an object'],
    [{ api, theme: { radius: 'oval' } }, 'theme.radius must be one of'],
    [{ api, theme: { typography: { baseSize: 99 } } }, 'theme.typography.baseSize must be one of'],
    [
      { api, theme: { color: { accent: { primary: 'red' } } } },
      'theme.color.accent.level is required',
    ],
    [{ api, header: { leftAction: { icon: 'home' } } }, 'header.leftAction.onClick is required'],
    [{ api, history: { enabled: 'yes' } }, 'history.enabled must be a boolean'],
    [
      { api, startScreen: { prompts: [{ label: 'a', prompt: [{ type: 'video' }] }] } },
      'startScreen.prompts[0].prompt[0].type must be one of',
    ],
    [
      {
        api,
        composer: {
          models: [
            { id: 'a', label: 'A' },
            { id: 'b', label: 1 },
          ],
        },
      },
      'composer.models[1].label must be a string',
    ],
    [{ api, composer: { models: {} } }, 'composer.models must be a list'],
    [
      { api, composer: { attachments: { enabled: true, maxSize: 'big' } } },
      'composer.attachments.maxSize must be a number',
    ],
    [{ api, initialThread: 5 }, 'initialThread must be a string'],
    [{ api, onClientTool: 'x' }, 'onClientTool must be a function'],
  ];
  for (const [options, message] of cases) {
    assert.throws(
      () => parseOptions(options),
      (error: unknown) => error instanceof TypeError && error.message.startsWith(message),
      message,
    );
  }
});

test('undefined means not set', () => {
  parseOptions({ api, theme: undefined, composer: { models: undefined }, history: undefined });
});
