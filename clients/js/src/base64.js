// Bytes as base64 and back, by the engine's own functions where it has them.

const CHUNK = 0x8000;

export function toBase64(bytes) {
  if (bytes.toBase64) return bytes.toBase64();
  let text = "";
  // The arguments of a call are bounded in number.
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK));
  }
  return btoa(text);
}

export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
