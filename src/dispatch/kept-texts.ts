import { BoundedMap } from '../platform/index.ts';

/** Texts of what a bind has in memory, by body: bounded, those that were read longest ago out first. */
export class KeptTexts {
  readonly #texts: BoundedMap<number, string>;

  constructor(max: number) {
    this.#texts = new BoundedMap(max);
  }

  of(body: number): string | undefined {
    return this.#texts.get(body);
  }

  keep(body: number, text: string): void {
    this.#texts.set(body, text);
  }

  clear(): void {
    this.#texts.clear();
  }
}
