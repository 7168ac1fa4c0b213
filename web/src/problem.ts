/** The body of an error answer, read with care: proxies answer errors in their own words. */
import type { Problem } from './errors.js';

/** Longest error body that is read; the rest of an HTML error page is of no use to anybody. */
const MAX_PROBLEM_LENGTH = 64 * 1024;

export async function readProblem(response: Response): Promise<Problem> {
  const retryAfter = Number.parseInt(response.headers.get('Retry-After') ?? '', 10);
  const problem: Problem = {
    status: response.status,
    title: response.statusText,
    detail: '',
    type: 'about:blank',
    turnId: null,
    retryAfter: Number.isNaN(retryAfter) ? null : retryAfter,
  };
  if (!/\bjson\b/.test(response.headers.get('Content-Type') ?? '')) return problem;
  try {
    const body: unknown = JSON.parse((await response.text()).slice(0, MAX_PROBLEM_LENGTH));
    if (typeof body !== 'object' || body === null) return problem;
    const { title, detail, type, turn_id } = body as Record<string, unknown>;
    if (typeof title === 'string') problem.title = title;
    if (typeof detail === 'string') problem.detail = detail;
    if (typeof type === 'string') problem.type = type;
    if (typeof turn_id === 'string') problem.turnId = turn_id;
  } catch {
    // A broken error body must not hide the status, which is the part that matters.
  }
  return problem;
}
