/** Whether anybody can see the page. */
export interface Visibility {
  readonly visible: boolean;
  /** Returns the function that ends the subscription. */
  subscribe(listener: () => void): () => void;
}

export const documentVisibility: Visibility = {
  get visible() {
    return document.visibilityState === 'visible';
  },
  subscribe(listener) {
    document.addEventListener('visibilitychange', listener);
    return () => document.removeEventListener('visibilitychange', listener);
  },
};
