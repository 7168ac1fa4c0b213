/** What the composer can do by itself, as commands. */
import type { Choice } from '../controls/choices.js';
import type { View } from '../view/context.js';
import type { Composer } from './composer.js';

interface BuiltIn extends Choice {
  run(): void;
}

export function builtIn(composer: Composer, { options, t }: View): BuiltIn[] {
  const { attachments, dictation, tools = [] } = options.composer ?? {};
  const chosen = composer.tool(options);
  const commands: BuiltIn[] = [];
  if (attachments?.enabled) {
    commands.push({
      id: 'chatkeep.attach',
      label: t('composer.attach'),
      icon: 'clip',
      run: () => composer.pickFiles(),
    });
  }
  if (dictation?.enabled) {
    commands.push({
      id: 'chatkeep.dictate',
      label: t('composer.dictate'),
      icon: 'mic',
      run: () => void composer.dictate().catch(() => undefined),
    });
  }
  if (options.entities?.onTagSearch) {
    commands.push({
      id: 'chatkeep.mention',
      label: t('composer.mention'),
      icon: 'at',
      run: () => composer.mention(),
    });
  }
  for (const { id, label, icon } of tools) {
    commands.push({
      id: `chatkeep.tool.${id}`,
      label,
      icon,
      group: t('composer.tools'),
      selected: id === chosen?.id,
      run: () => composer.chooseTool(id === chosen?.id ? null : id),
    });
  }
  return commands;
}
