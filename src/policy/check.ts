/** `tocsin policy check`: what the policies say, for a person to read. */
import type { CarrierPolicy } from './carriers.ts';
import { formatDuration } from './duration.ts';
import type { Environment } from './fields.ts';
import { LANES } from './lanes.ts';
import { loadPolicies } from './load.ts';
import type { Protocol } from './protocol.ts';

/** A summary in a few lines. @throws PolicyError when the policies can't be used. */
export function policyCheck(dir: string, env: Environment, protocol: Protocol): string {
  const { lanes, carriers, routing, files } = loadPolicies(dir, env, protocol);
  const lines = [`The policies in ${dir} are good.`, '', 'Files (SHA-256)'];
  for (const { name, digest } of files) lines.push(`  ${digest.toString('hex')}  ${name}`);
  lines.push('', 'Lanes');
  for (const name of LANES) {
    const lane = lanes[name];
    const share = name === 'emergency' ? `first, up to ${lane.ceiling * 100} %` : `weight ${lane.weight}`;
    const validity = `${formatDuration(lane.defaultValidityMs)}–${formatDuration(lane.longestValidityMs)}`;
    const attempts = `${lane.retry.budget} attempts`;
    lines.push(
      `  ${name}: ${share}, priority_flag ${lane.priorityFlag}, valid ${validity}, ${attempts}, doubt: ${lane.inDoubt}`,
    );
  }
  lines.push('', 'Carriers');
  for (const [name, carrier] of Object.entries(carriers)) {
    const used = routing.routes.filter((route) => route.binds.includes(name)).map((route) => route.name);
    const others = carrier.otherHosts.map(({ host, port }) => `, else ${host}:${port}`).join('');
    const where = `${carrier.systemId} at ${carrier.host}:${carrier.port}${others}${tlsSummary(carrier.tls)}`;
    const limits = `${carrier.tps} TPS, ${carrier.sessions} × window ${carrier.window}`;
    lines.push(`  ${name}: ${where}, ${limits}, ${used.length > 0 ? `routes ${used.join(', ')}` : 'USED BY NO ROUTE'}`);
  }
  lines.push('', 'Routes');
  for (const route of routing.routes) {
    const shown = route.prefixes.slice(0, 8).join(' ') + (route.prefixes.length > 8 ? ' …' : '');
    const senders = route.senders === null ? '' : `; from ${route.senders.join(', ')}`;
    const tiers = route.tiers.map((tier) => tier.join(', ')).join(', else ');
    const second = route.noRoute === null ? '' : `; no way there: ${route.noRoute.route}`;
    lines.push(`  ${route.name}: ${shown} (${route.lanes?.join(', ') ?? 'every lane'}${senders}) → ${tiers}${second}`);
  }
  return lines.join('\n');
}

function tlsSummary(tls: CarrierPolicy['tls']): string {
  if (tls === null) return '';
  const verified = tls.unverifiedBecause === null ? '' : ` NOT VERIFIED (${tls.unverifiedBecause})`;
  return ` over ${tls.minVersion}+${verified}${tls.cert === null ? '' : ' with our certificate'}`;
}
