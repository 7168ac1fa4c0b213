import './dom.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CURVES, segments } from '../src/chart/curves.js';
import { niceScale, readChart } from '../src/chart/model.js';
import { areaPath, barsOf, linePath, plotOf } from '../src/chart/plot.js';
import { addDays, addMonths, clampDay, dayOf, weeksOf } from '../src/controls/calendar.js';
import { moved, Typeahead } from '../src/controls/choice.js';

const ROWS = [
  { day: 'Mon', a: 10, b: 5 },
  { day: 'Tue', a: 20, b: -5 },
  { day: 'Wed', a: null, b: 15 },
];

function chart(series: object[], props: object = {}) {
  const model = readChart({ data: ROWS, xAxis: 'day', series, ...props });
  assert.ok(model);
  return { model, plot: plotOf({ width: 300, height: 200 }, model, ['0']) };
}

test('stacked values begin where the last ended, those below nothing on their own side', () => {
  const { model } = chart([
    { type: 'bar', dataKey: 'a', stack: 's' },
    { type: 'bar', dataKey: 'b', stack: 's' },
  ]);

  assert.deepEqual(model.series[1]?.spans, [
    [10, 15],
    [0, -5],
    [0, 15],
  ]);
  assert.ok(model.min <= -5 && model.max >= 20);
});

test('bars of one stack share a place, others stand beside each other', () => {
  const left = ({ model, plot }: ReturnType<typeof chart>): number[] =>
    model.series.map((series) => barsOf(series, plot, model)[0]?.x ?? Number.NaN);
  const stacked = left(
    chart([
      { type: 'bar', dataKey: 'a', stack: 's' },
      { type: 'bar', dataKey: 'b', stack: 's' },
    ]),
  );
  const beside = left(
    chart([
      { type: 'bar', dataKey: 'a' },
      { type: 'bar', dataKey: 'b' },
    ]),
  );

  assert.equal(stacked[0], stacked[1]);
  assert.ok((beside[0] ?? 0) < (beside[1] ?? 0));
});

test('lines end where there is no value, and every curve is a path of numbers', () => {
  const points = [0, 1, 2, 3, 4].map((x) => ({ x: x * 10, y: (x * 7) % 5 }));
  for (const curve of CURVES) {
    const path = segments(points, curve);
    assert.match(path, /^[LCZ\d. -]+$/, curve);
    assert.ok(!path.includes('NaN'), curve);
    const { model, plot } = chart([{ type: 'area', dataKey: 'a', curveType: curve }]);
    const area = areaPath(model.series[0] as never, plot, model);
    assert.ok(area.endsWith('Z') && !/NaN|undefined/.test(area), curve);
  }
  const { model, plot } = chart([{ type: 'line', dataKey: 'a', curveType: 'linear' }]);
  assert.equal(linePath(model.series[0] as never, plot, model).match(/L/g)?.length, 1);
});

test('a chart without rows or series that can be drawn is none, and bad values are gaps', () => {
  assert.equal(
    readChart({ data: [], xAxis: 'day', series: [{ type: 'bar', dataKey: 'a' }] }),
    null,
  );
  assert.equal(
    readChart({ data: ROWS, xAxis: 'day', series: [{ type: 'pie', dataKey: 'a' }] }),
    null,
  );
  assert.equal(readChart({}), null);
  const { model } = chart(
    [
      { type: 'line', dataKey: 'day' },
      { type: 'bar', dataKey: 'a' },
    ],
    {
      xAxis: { dataKey: 'day', labels: { Mon: 'Monday' }, hide: true },
    },
  );
  assert.deepEqual(model.series[0]?.values, [null, null, null]);
  assert.deepEqual(model.labels, ['Monday', 'Tue', 'Wed']);
  assert.ok(model.hideX);
});

test('scales end at round numbers and include nothing', () => {
  assert.deepEqual(niceScale(0, 409), { min: 0, max: 600, ticks: [0, 200, 400, 600] });
  for (const [low, high] of [
    [0, 0],
    [-3, 8],
    [0, 0.02],
    [-1e9, 0],
  ] as const) {
    const { min, max, ticks } = niceScale(low, high);
    assert.ok(min <= low && max >= high && min < max);
    assert.ok(ticks.length >= 2 && ticks.length <= 8 && ticks.every(Number.isFinite));
  }
});

test('days are reckoned without a zone', () => {
  assert.equal(dayOf('2026-03-14T23:30:00-08:00'), '2026-03-14');
  assert.equal(dayOf('2026-02-30'), null);
  assert.equal(dayOf(7), null);
  assert.equal(addDays('2026-02-28', 1), '2026-03-01');
  assert.equal(addMonths('2026-01-31', 1), '2026-02-28');
  assert.equal(addMonths('2026-03-31', -12), '2025-03-31');
  assert.equal(clampDay('2026-01-01', '2026-02-01', null), '2026-02-01');
  const weeks = weeksOf('2026-03-14', 1);
  assert.equal(weeks[0]?.[0], '2026-02-23');
  assert.ok(weeks.every((week) => week.length === 7) && weeks.at(-1)?.includes('2026-03-31'));
});

test('keys pass over options that are disabled, and stay at the ends', () => {
  const options = ['Ash', 'Beech', 'Birch', 'Cedar'].map((label, index) => ({
    label,
    disabled: index === 1,
  }));

  assert.equal(moved(options, 0, 'ArrowDown'), 2);
  assert.equal(moved(options, 2, 'ArrowUp'), 0);
  assert.equal(moved(options, 0, 'ArrowUp'), 0);
  assert.equal(moved(options, 0, 'End'), 3);
  assert.equal(moved(options, 0, 'x'), null);
  const typed = new Typeahead();
  assert.equal(typed.find(options, 0, 'b', 0), 2);
  assert.equal(typed.find(options, 2, 'i', 100), 2);
  assert.equal(typed.find(options, 2, 'c', 5000), 3);
});
