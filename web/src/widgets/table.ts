/** Tables: real ones, so that cells are told with their headers. */
import { html, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { WidgetNode } from './node.js';
import { ALIGNS, flag, number, oneOf, TEXT_SIZES } from './read.js';
import type { Component, Scope } from './scope.js';
import { length, type Style, spacing, styled } from './style.js';

const MAX_SPAN = 100;

const COLUMNS = { xs: '3rem', sm: '5rem', md: '8rem', lg: '12rem', xl: '18rem' } as const;

export const table: Component = ({ children }, scope) => {
  const rows = children.filter(({ type }) => type === 'Table.Row');
  const body = rows.findIndex(({ props }) => !flag(props, 'header'));
  const heads = body < 0 ? rows.length : body;
  return html`<div class="w-table" tabindex="0" role="group"><table>
    <thead>${all(rows.slice(0, heads), scope)}</thead>
    <tbody>${all(rows.slice(heads), scope)}</tbody>
  </table></div>`;
};

function all(rows: readonly WidgetNode[], scope: Scope): unknown {
  return repeat(
    rows,
    ({ path }) => path,
    (row) => tableRow(row, scope),
  );
}

function tableRow({ props, children }: WidgetNode, scope: Scope): TemplateResult {
  const header = flag(props, 'header');
  const cells = children.filter(({ type }) => type === 'Table.Cell');
  return html`<tr>${repeat(
    cells,
    ({ path }) => path,
    (one) => cell(one, header, scope),
  )}</tr>`;
}

function cell({ props, children }: WidgetNode, header: boolean, scope: Scope): TemplateResult {
  const content = html`<div class="w-cell" data-align=${oneOf(props, 'align', ALIGNS) ?? 'start'}>${scope.children(
    children,
    { ...scope, axis: 'col' },
  )}</div>`;
  const style = cellStyle(props);
  const columns = span(props, 'colSpan');
  const rows = span(props, 'rowSpan');
  return header
    ? html`<th scope="col" colspan=${columns} rowspan=${rows} ${styled(style)}>${content}</th>`
    : html`<td colspan=${columns} rowspan=${rows} ${styled(style)}>${content}</td>`;
}

function cellStyle(props: WidgetNode['props']): Style {
  const size = oneOf(props, 'colSize', TEXT_SIZES);
  const upright = oneOf(props, 'vAlign', ALIGNS);
  return {
    width: length(props.width) ?? (size && COLUMNS[size]),
    'vertical-align': upright && { start: 'top', center: 'middle', end: 'bottom' }[upright],
    ...(props.padding === undefined ? {} : spacing('padding', props.padding)),
  };
}

function span(props: WidgetNode['props'], name: string): number {
  const value = Math.floor(number(props, name) ?? 1);
  return Math.min(Math.max(value, 1), MAX_SPAN);
}
