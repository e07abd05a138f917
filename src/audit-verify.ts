/** `tocsin audit verify`: every chain, every fact, every text, as lines for a person. */
import { verifyBodies } from './alerts/index.ts';
import { describe, verify } from './audit/index.ts';
import { FACT_TABLES } from './facts.ts';
import { type Config, type Database, knownMasterKey, masterKeyPath, Vault } from './platform/index.ts';

/** `verified` only when all was looked at, texts too, and all of it agrees. */
export async function auditVerify(database: Database, config: Config): Promise<{ lines: string[]; verified: boolean }> {
  const vault = await vaultOf(database, config);
  const unopened = typeof vault === 'string' && (await hasTexts(database)) ? vault : null;
  const checks = typeof vault === 'string' ? [] : [verifyBodies(database.pools.reader, vault)];
  const { disagreements, truncated, chains, entries, facts, unchecked, verified } = await verify(
    database,
    FACT_TABLES,
    { checks },
  );
  const lines = disagreements.map(describe);
  if (truncated) lines.push(`these are the first ${disagreements.length}; there may be more`);
  for (const [table, count] of Object.entries(unchecked)) {
    lines.push(`${table}: ${count} facts of a table that this version does not know; run the newer version`);
  }
  if (unopened !== null) lines.push(unopened);
  const agreement = unopened === null ? 'all agree' : 'all agree, but the texts were not checked';
  lines.push(`${chains} chains, ${entries} entries, ${facts} facts: ${verified ? agreement : 'NOT verified'}`);
  return { lines, verified: verified && unopened === null };
}

/** What opens the texts, or why there is nothing to open them with. */
async function vaultOf({ pools }: Database, { masterKey, home, keyring }: Config): Promise<Vault | string> {
  const key = await knownMasterKey(masterKey, home);
  if (key === null) {
    return notChecked(`there is no master key in TOCSIN_MASTER_KEY, nor in ${masterKeyPath(home)}`);
  }
  const vault = new Vault({ pool: pools.reader, masterKey: key, keyring });
  if (await vault.fits()) return vault;
  const from = masterKey === null ? masterKeyPath(home) : 'TOCSIN_MASTER_KEY';
  return notChecked(`the master key is not the one that they were sealed under (it is from ${from})`);
}

const notChecked = (why: string): string => `texts were NOT checked: ${why}.
Type what the server is started with:
  TOCSIN_MASTER_KEY=… TOCSIN_KEYRING=… tocsin audit verify
or, where the server keeps its own master key:
  TOCSIN_HOME=… tocsin audit verify`;

async function hasTexts({ pools }: Database): Promise<boolean> {
  return (await pools.reader.query('select from alert limit 1', [], { retries: 3 })).length > 0;
}
