/** The place of a chart; what draws it is loaded with the first one. */
import { html } from 'lit';
import { Lazy, lazy } from '../chunks/lazy.js';
import type { Component } from './scope.js';
import { block, styled } from './style.js';

type ChartPart = typeof import('../chart/chart.js');

const chartPart = new Lazy<ChartPart>(() => import('../chart/chart.js'));

export const chart: Component = ({ props }, { surface }) => {
  const { t, locale } = surface.context;
  return html`<div class="w-chart" ${styled(block(props))}>${lazy(chartPart, (part) =>
    part.chartView(props, { t, locale }),
  )}</div>`;
};
