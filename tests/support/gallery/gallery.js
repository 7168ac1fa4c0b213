/** One conversation in two elements, of which one is light and the other is dark. */
const light = document.querySelector('#light');
const dark = document.querySelector('#dark');

function options(theme) {
  return { api: { url: '/chatkit', domainKey: 'self-hosted' }, theme, history: { enabled: false } };
}

light.setOptions(options('light'));
dark.setOptions(options('dark'));

let thread = null;
light.addEventListener('chatkit.thread.change', ({ detail }) => {
  thread = detail.threadId;
});
light.addEventListener('chatkit.response.end', () => dark.setThreadId(thread));
light.sendUserMessage({ text: 'gallery' });
