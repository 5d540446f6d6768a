/** Overrides, embeddings and isolates: they would turn around what follows them, to the end of the sentence. */
const STEERING = /[\u202a-\u202e\u2066-\u2069]/g;

/** Those, and marks that pull what stands beside them to one side. */
const MAY_TURN = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

/**
 * A name as it may stand in a sentence: whatever is in it, the words around it stay where they are.
 *
 * Where there is an element of its own, `<bdi>` does this; a title, a label and a sentence of a language pack have none.
 * There a name that steers the direction of writing stands between U+2068 and U+2069, without what could end that or
 * reach beyond it. Letters that are written from right to left need none of it; a pack may isolate every name.
 */
export function nameInSentence(name: string): string {
  return MAY_TURN.test(name) ? `\u2068${name.replace(STEERING, "")}\u2069` : name;
}
