/** Texts by key. A language that lacks a key, or a language that is lacking, falls back to English. */
import { en } from './locales/en.js';

export type MessageKey = keyof typeof en;
export type Translate = (key: MessageKey, values?: Record<string, string | number>) => string;

const TABLES: Record<string, Partial<Record<MessageKey, string>>> = { en };

export function translator(locale: string | undefined): Translate {
  const table = TABLES[locale ?? ''] ?? TABLES[locale?.split('-')[0] ?? ''] ?? en;
  return (key, values = {}) =>
    (table[key] ?? en[key]).replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}
