/**
 * Which policies were in force: an act in the chain whenever a process starts with other ones than those last recorded.
 * Above the rooms, because policy knows nothing of the chain.
 */
import { type ChainWriter, defineFactTable, insertFacts } from './audit/index.ts';
import type { Clock, EpochMs } from './platform/index.ts';
import type { Policies } from './policy/index.ts';

export interface PolicyLoadRow {
  /** In the order of the loads. */
  id: number;
  process: number;
  at: EpochMs;
  /** Name of the file, without its folder. */
  file: string;
  /** SHA-256 of the file: what `sha256sum` says of it. */
  digest: Buffer;
}
export const policyLoad = defineFactTable<PolicyLoadRow>({
  table: 'policy_load',
  columns: { id: 'int', process: 'int', at: 'int', file: 'text', digest: 'bytes' },
  key: ['id'],
});

export const POLICY_TABLES = [policyLoad];

export interface PolicyLoad {
  readonly writer: ChainWriter;
  readonly clock: Clock;
  readonly process: number;
  readonly policies: Pick<Policies, 'files'>;
}

/**
 * Writes one fact for each file, unless the last load was of these very files. Going back to earlier policies is a load
 * again. Under a lock, so that of processes that start together one writes.
 */
export async function recordPolicies({ writer, clock, process, policies }: PolicyLoad): Promise<void> {
  await writer.append(async (tx, entry) => {
    await tx.query(`select pg_advisory_xact_lock(hashtext('tocsin policies'))`);
    const last = await tx.query<{ id: number; file: string; digest: Buffer }>(
      `select id, file, digest from policy_load
         where entry = (select entry from policy_load order by id desc limit 1) order by id desc`,
    );
    const same = ({ name, digest }: Policies['files'][number]): boolean =>
      last.some((row) => row.file === name && row.digest.equals(digest));
    if (last.length === policies.files.length && policies.files.every(same)) return { value: undefined, parts: [] };
    const at = clock.now();
    const rows = policies.files.map(
      ({ name, digest }, index): PolicyLoadRow => ({
        id: (last[0]?.id ?? 0) + 1 + index,
        process,
        at,
        file: name,
        digest,
      }),
    );
    return { value: undefined, parts: (await insertFacts(tx, policyLoad, rows, entry, { onConflict: 'error' })).parts };
  });
}
