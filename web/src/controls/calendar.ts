/** Days as `YYYY-MM-DD`: without a time and a zone, so a day is the same day everywhere. */

const DAY = /^(\d{4})-(\d{2})-(\d{2})/;

/** The day of an ISO date or time, as it was written; `null` when it is none. */
export function dayOf(value: unknown): string | null {
  const match = typeof value === 'string' ? DAY.exec(value) : null;
  if (!match) return null;
  const day = match[0];
  return iso(dateOf(day)) === day ? day : null;
}

/** The day as a date at noon UTC, which is only for reckoning and formatting in UTC. */
export function dateOf(day: string): Date {
  return new Date(`${day}T12:00:00Z`);
}

function iso(date: Date): string {
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().slice(0, 10);
}

export function today(now = new Date()): string {
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return iso(local);
}

export function addDays(day: string, days: number): string {
  const date = dateOf(day);
  date.setUTCDate(date.getUTCDate() + days);
  return iso(date);
}

/** The same day some months later, or the last of that month. */
export function addMonths(day: string, months: number): string {
  const date = dateOf(day);
  const wanted = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + months);
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(wanted, last));
  return iso(date);
}

/** The weeks of the month of a day, each of seven days; those of other months are in it too. */
export function weeksOf(day: string, firstWeekday: number): string[][] {
  const first = `${day.slice(0, 8)}01`;
  const offset = (dateOf(first).getUTCDay() - firstWeekday + 7) % 7;
  const start = addDays(first, -offset);
  const month = first.slice(0, 7);
  const weeks: string[][] = [];
  for (let week = 0; week < 6; week++) {
    const days = Array.from({ length: 7 }, (_, index) => addDays(start, week * 7 + index));
    if (week > 0 && !days.some((one) => one.startsWith(month))) break;
    weeks.push(days);
  }
  return weeks;
}

/** The day that is nearest to the wanted one and within the bounds. */
export function clampDay(day: string, min: string | null, max: string | null): string {
  if (min !== null && day < min) return min;
  return max !== null && day > max ? max : day;
}

/** The weekday on which weeks begin, as `Date.getDay` counts: 0 is Sunday. */
export function firstWeekday(locale: string): number {
  try {
    const intl = new Intl.Locale(locale) as Intl.Locale & {
      getWeekInfo?: () => { firstDay: number };
      weekInfo?: { firstDay: number };
    };
    const { firstDay } = intl.getWeekInfo?.() ?? intl.weekInfo ?? { firstDay: 1 };
    return firstDay % 7;
  } catch {
    return 1;
  }
}
