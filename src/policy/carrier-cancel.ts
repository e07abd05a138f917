/** Whether a carrier is asked to give up what it has accepted, when its alert is cancelled. */
import { z } from 'zod';

export interface CarrierCancel {
  /** `request`: cancel_sm (SMPP 3.4 §4.9) for what has no final receipt yet; `never`: it comes to its own end. */
  readonly cancelAccepted: 'never' | 'request';
}

/** Fields of a carrier in carriers.yaml. */
export const carrierCancelFields = {
  cancelAccepted: z
    .enum(['never', 'request'])
    .default('never')
    .describe('Whether the carrier is asked by cancel_sm to give up what it has accepted of a cancelled alert.'),
};
