/**
 * Requests of ours other than the hot one that wait for their answer: bind, unbind, and whatever goes through `request`.
 * They are few, so each has a timer of its own.
 */
import type { Pdu, PduCommand, PduOf } from './pdus/table.ts';

/** Which part of the window a request takes; bind and unbind take none. */
export type Slot = 'none' | 'normal' | 'emergency';

/** What is waited for: the response of that name, or a generic_nack. */
export interface Question<R extends PduCommand> {
  response: R;
  timeoutMs: number;
  slot: Slot;
}
export type AnswerTo<R extends PduCommand> = PduOf<R | 'generic_nack'>;

interface Asked {
  response: PduCommand;
  settle(answer: Pdu | null): void;
}

export class AskedRequests {
  /** Those that take room in the window, and those of them that are emergency. */
  inWindow = 0;
  emergencyInWindow = 0;
  private readonly questions = new Map<number, Asked>();
  private readonly onFreed: (late: boolean) => void;

  /** @param onFreed after a request that took room in the window was answered, or was given up as late. */
  constructor(onFreed: (late: boolean) => void) {
    this.onFreed = onFreed;
  }

  has(sequence: number): boolean {
    return this.questions.size !== 0 && this.questions.has(sequence);
  }

  /** `onAnswer` gets the answer, be it a generic_nack; null when it did not come in time or the link closed. */
  add<R extends PduCommand>(
    sequence: number,
    question: Question<R>,
    onAnswer: (answer: AnswerTo<R> | null) => void,
  ): void {
    const { response, timeoutMs, slot } = question;
    if (slot !== 'none') this.inWindow++;
    if (slot === 'emergency') this.emergencyInWindow++;
    const settle = (answer: Pdu | null, late = false) => {
      clearTimeout(timer);
      if (!this.questions.delete(sequence)) return;
      if (slot !== 'none') this.inWindow--;
      if (slot === 'emergency') this.emergencyInWindow--;
      // `answer` below lets no other through.
      onAnswer(answer as AnswerTo<R> | null);
      if (slot !== 'none') this.onFreed(late);
    };
    // Through setImmediate: an answer that came while this process stood still is read before it is called late.
    const timer = setTimeout(() => setImmediate(settle, null, true), timeoutMs);
    this.questions.set(sequence, { response, settle });
  }

  /** Whether `pdu` answers one of these. */
  answer(pdu: Pdu): boolean {
    const question = this.questions.get(pdu.sequence);
    if (question === undefined) return false;
    if (pdu.command !== question.response && pdu.command !== 'generic_nack') return false;
    question.settle(pdu);
    return true;
  }

  /** The link has closed. */
  end(): void {
    for (const question of [...this.questions.values()]) question.settle(null);
  }
}
