/** Copying, with a short confirmation on the button itself. */
const CONFIRMATION = 1600;

export async function copyText(button: HTMLElement, text: string, done: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages without a secure context have no clipboard API, and a frame may be denied it.
    if (!copyBySelection(button, text)) return;
  }
  const isText = button.classList.contains('copy-code');
  const before = isText ? button.textContent : null;
  if (isText) button.textContent = done;
  button.dataset.copied = '';
  setTimeout(() => {
    delete button.dataset.copied;
    if (before !== null) button.textContent = before;
  }, CONFIRMATION);
}

function copyBySelection(button: HTMLElement, text: string): boolean {
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'sr-only';
  button.after(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  button.focus();
  return copied;
}
