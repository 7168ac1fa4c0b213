/** What a rendered text gets when the parts for it are here: coloured code, and formulas. */
import { Lazy } from '../chunks/lazy.js';
import { adopt } from '../chunks/styles.js';

const code = new Lazy(() => import('../rich/code.js'));
const math = new Lazy(() => import('../rich/math.js'));

/**
 * Makes formulas of their sources, and colours the code of finished blocks; at once where it can, as
 * nothing should jump, and otherwise when the part is loaded.
 *
 * @param text What was rendered.
 * @param root Where it is shown, once it is.
 * @param settled Whether blocks of code in it do not change any more.
 */
export function enrich(text: ParentNode, root: Element, settled: boolean): void {
  const formulas = [...text.querySelectorAll<HTMLElement>('code.formula')];
  const blocks = settled
    ? [...text.querySelectorAll<HTMLElement>('code[class^="language-"]:not(.language-)')]
    : [];
  if (formulas.length > 0) {
    use(math, root, 'code.formula', formulas, ({ formula }, source) => {
      const { textContent, classList } = source;
      source.replaceWith(formula(textContent ?? '', classList.contains('display')));
    });
  }
  if (blocks.length > 0) {
    use(code, root, 'code[class^="language-"]:not(.language-)', blocks, ({ colour }, block) => {
      if (block.childElementCount === 0) colour(block);
    });
  }
}

function use<T extends { styles: string }>(
  part: Lazy<T>,
  root: Element,
  selector: string,
  found: readonly HTMLElement[],
  change: (part: T, element: HTMLElement) => void,
): void {
  const all = (value: T, elements: Iterable<HTMLElement>): void => {
    adopt(root.getRootNode(), value.styles);
    for (const element of elements) change(value, element);
  };
  if (part.value) {
    all(part.value, found);
    return;
  }
  // By then other nodes may stand there. Without the part, the source is what there is to read.
  part.load().then(
    (value) => all(value, root.querySelectorAll<HTMLElement>(selector)),
    () => undefined,
  );
}
