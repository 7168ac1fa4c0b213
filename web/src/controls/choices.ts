/** What a list of choices shows of each. */
export interface Choice {
  id: string;
  label: string;
  detail?: string | undefined;
  icon?: string | undefined;
  /** Choices of one group that follow each other stand below its name. */
  group?: string | undefined;
  disabled?: boolean | undefined;
  selected?: boolean | undefined;
}

/** Where a list stands: how far from the start of its frame, and how high it may be, in pixels. */
export interface Room {
  at: number;
  height: number;
}

/** The room above a frame for what is opened by a button in it. */
export function roomAbove(frame: Element, button: Element | null, top: Element): Room {
  const box = frame.getBoundingClientRect();
  const from = (button ?? frame).getBoundingClientRect();
  const rtl = getComputedStyle(frame).direction === 'rtl';
  return {
    at: rtl ? box.right - from.right : from.left - box.left,
    height: box.top - top.getBoundingClientRect().top,
  };
}
