/** Which nodes may hold a carrier account: an SMSC takes sessions from the addresses on its list alone. */
import { z } from 'zod';

export interface CarrierNodes {
  /** Names of nodes (TOCSIN_NODE, else their host names). Null: any. */
  readonly nodes: readonly string[] | null;
}

const node = z.string({ error: 'expected the name of a node' }).min(1, 'must not be empty').max(253);

/** Fields of a carrier in carriers.yaml. */
export const carrierNodeFields = {
  nodes: z
    .array(node)
    .min(1, 'names no node; leave it out for any')
    .max(64)
    .optional()
    .describe('Names of the nodes (TOCSIN_NODE, else the host name) that may hold the account; any when left out.'),
};

export function resolveCarrierNodes(fields: { nodes?: string[] | undefined }): CarrierNodes {
  return { nodes: fields.nodes ?? null };
}

/** Whether the node of this name may hold the account. */
export function mayHold(carrier: CarrierNodes | undefined, name: string): boolean {
  return carrier !== undefined && (carrier.nodes === null || carrier.nodes.includes(name));
}
