/**
 * Waits until a host framework has had the time to attach its listeners. React, for one, attaches
 * them in an effect after the commit in which it called `setOptions`, and a zero timeout may run
 * before that effect: two frames and a task are after it. Hidden tabs get no frames, so a timer
 * ends the wait as well.
 */
const HIDDEN_TAB_LIMIT = 250;

export function hostSettled(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, HIDDEN_TAB_LIMIT);
    requestAnimationFrame(() =>
      requestAnimationFrame(() =>
        setTimeout(() => {
          clearTimeout(timer);
          resolve();
        }),
      ),
    );
  });
}

/** The next frame, or a little later where there are none. */
export function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, HIDDEN_TAB_LIMIT);
    requestAnimationFrame(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
