/**
 * Requests of ours other than the hot one that wait for their answer: bind, unbind, and whatever goes through `request`.
 * They are few, so each has a timer of its own.
 */
import type { ColdPdu } from './cold.ts';
import { Command } from './commands.ts';

/** Which part of the window a request takes; bind and unbind take none. */
export type Slot = 'none' | 'normal' | 'emergency';

interface Question {
  responseId: number;
  settle(answer: ColdPdu | null): void;
}

export class AskedRequests {
  /** Those that take room in the window, and those of them that are emergency. */
  inWindow = 0;
  emergencyInWindow = 0;
  private readonly questions = new Map<number, Question>();
  private readonly onFreed: (late: boolean) => void;

  /** @param onFreed after a request that took room in the window was answered, or was given up as late. */
  constructor(onFreed: (late: boolean) => void) {
    this.onFreed = onFreed;
  }

  has(sequence: number): boolean {
    return this.questions.size !== 0 && this.questions.has(sequence);
  }

  /** `onAnswer` gets the answer, be it a generic_nack; null when it did not come in time or the link closed. */
  add(
    sequence: number,
    question: { responseId: number; timeoutMs: number; slot: Slot },
    onAnswer: (answer: ColdPdu | null) => void,
  ): void {
    const { responseId, timeoutMs, slot } = question;
    if (slot !== 'none') this.inWindow++;
    if (slot === 'emergency') this.emergencyInWindow++;
    const settle = (answer: ColdPdu | null, late = false) => {
      clearTimeout(timer);
      if (!this.questions.delete(sequence)) return;
      if (slot !== 'none') this.inWindow--;
      if (slot === 'emergency') this.emergencyInWindow--;
      onAnswer(answer);
      if (slot !== 'none') this.onFreed(late);
    };
    // Through setImmediate: an answer that came while this process stood still is read before it is called late.
    const timer = setTimeout(() => setImmediate(settle, null, true), timeoutMs);
    this.questions.set(sequence, { responseId, settle });
  }

  /** Whether `pdu` answers one of these. */
  answer(pdu: ColdPdu): boolean {
    const question = this.questions.get(pdu.sequence);
    if (question === undefined) return false;
    if (pdu.commandId !== question.responseId && pdu.commandId !== Command.genericNack) return false;
    question.settle(pdu);
    return true;
  }

  /** The link has closed. */
  end(): void {
    for (const question of [...this.questions.values()]) question.settle(null);
  }
}
