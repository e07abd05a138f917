/** Texts of what a bind has in memory, by body: bounded, those that were read longest ago out first. */
export class KeptTexts {
  readonly #texts = new Map<number, string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  of(body: number): string | undefined {
    return this.#texts.get(body);
  }

  keep(body: number, text: string): void {
    this.#texts.delete(body);
    this.#texts.set(body, text);
    if (this.#texts.size > this.#max) {
      const oldest = this.#texts.keys().next();
      if (oldest.done !== true) this.#texts.delete(oldest.value);
    }
  }

  clear(): void {
    this.#texts.clear();
  }
}
