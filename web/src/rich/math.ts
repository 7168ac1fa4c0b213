/** Formulas as MathML, which browsers set themselves. Loaded when there is one to show. */
import temml from 'temml';
import styles from './math.css';

export { styles };

/** A text that grows is rendered many times, and its formulas are mostly the same. */
const MAX_KNOWN = 200;

const known = new Map<string, Node>();

/** The formula for a TeX source; an erroneous one shows its source, marked. */
export function formula(tex: string, display: boolean): Node {
  const key = `${display ? 1 : 0}${tex}`;
  let made = known.get(key);
  if (!made) {
    const holder = document.createElement(display ? 'div' : 'span');
    holder.className = display ? 'math display' : 'math';
    if (display) holder.tabIndex = 0; // it may be wider than the text, and scrolls then
    // Nothing in a formula may lead anywhere or look like something else: no links, no classes.
    temml.render(tex, holder, { displayMode: display, trust: false, maxExpand: 500 });
    made = holder;
    if (known.size >= MAX_KNOWN) known.delete(known.keys().next().value ?? '');
    known.set(key, made);
  }
  return made.cloneNode(true);
}
