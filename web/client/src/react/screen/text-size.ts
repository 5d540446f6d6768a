/**
 * The size of a text in bytes of UTF-8, as the server's limit counts it.
 *
 * `TextEncoder` would build the bytes to count them, and the DOM of a test (jsdom) has none.
 */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    const isSurrogate = unit >= 0xd800 && unit < 0xe000; // two units of two bytes each
    if (unit >= 0x80) bytes += unit < 0x800 || isSurrogate ? 1 : 2;
  }
  return bytes;
}
