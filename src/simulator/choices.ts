/**
 * What happens to a message is chosen from a seed and the message itself, never by chance: the same seed and messages
 * give the same refusals and failed receipts, in whatever order they come. FNV-1a over the bytes, then the finaliser of
 * MurmurHash3, because FNV alone leaves its high bits unmixed.
 */

const prime = 0x01000193;

/** Hash of a message for choices: seed, destination, text and (where the caller has one) the delivery it belongs to. */
export function messageHash(seed: number, destination: string, text: Buffer, discriminator: number): number {
  let hash = (0x811c9dc5 ^ seed) | 0;
  for (let i = 0; i < destination.length; i += 1) hash = Math.imul(hash ^ destination.charCodeAt(i), prime);
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text[i]!, prime);
  hash = Math.imul(hash ^ (discriminator | 0), prime);
  hash = Math.imul(hash ^ Math.floor(discriminator / 0x1_0000_0000), prime);
  return hash | 0;
}

/** One number in [0, 1) from a message's hash; another `salt` gives an independent one for another question. */
export function pick(hash: number, salt: number): number {
  let mixed = hash ^ Math.imul(salt + 1, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return (mixed >>> 0) / 0x1_0000_0000;
}
