/**
 * Reads a cursor, `<epoch>-<position>-<tag>`, as far as ordering needs it.
 *
 * On the wire a cursor is opaque and goes back as it came. Only to tell whether a snapshot already contains an event, its
 * position is looked at; a cursor of another form compares as unknown, and then the event is applied (all of it is
 * idempotent but unread counts, which are loaded anew).
 */

export interface Place {
  epoch: string;
  position: number;
}

const FORM = /^([a-z0-9]{1,32})-(0|[1-9][0-9]{0,15})-[0-9a-f]{1,8}$/;

export function placeOf(cursor: string | null): Place | null {
  const match = cursor === null ? null : FORM.exec(cursor);
  return match ? { epoch: match[1] as string, position: Number(match[2]) } : null;
}

/** Whether state read at `snapshot` already contains the event at `event`. False when they cannot be compared. */
export function contains(snapshot: string | null, event: string | null): boolean {
  const at = placeOf(snapshot);
  const of = placeOf(event);
  return at !== null && of !== null && at.epoch === of.epoch && of.position <= at.position;
}

/** How the event at `id` follows `cursor` in a dense log. */
export function succession(cursor: string | null, id: string): "next" | "old" | "gap" | "unknown" {
  if (cursor === id) return "old";
  const at = placeOf(cursor);
  const of = placeOf(id);
  if (at === null || of === null) return "unknown";
  if (at.epoch !== of.epoch) return "gap";
  if (of.position <= at.position) return "old";
  return of.position === at.position + 1 ? "next" : "gap";
}

/** Whether state read at `cursor` lacks events up to `base`; false where that cannot be told. */
export function isBefore(cursor: string | null, base: string): boolean {
  const at = placeOf(cursor);
  const of = placeOf(base);
  return at !== null && of !== null && at.epoch === of.epoch && at.position < of.position;
}
