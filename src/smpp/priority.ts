/** priority_flag (SMPP 3.4 §5.2.14, 5.0 §4.7.14). */
import { FieldError } from './errors.ts';

/** 0–3 in SMPP 3.4; 5.0 adds a fifth level for cell broadcast. */
export const PRIORITY_FLAG_MAX = { '3.4': 3, '5.0': 4 } as const;

/** @throws FieldError when it is not a whole number of 0 to the highest that the carrier knows. */
export function priorityFlag(flag: number, highest: number = PRIORITY_FLAG_MAX['5.0']): number {
  if (Number.isInteger(flag) && flag >= 0 && flag <= highest) return flag;
  throw new FieldError('priority_flag', `is not an integer of 0..${highest}`);
}
