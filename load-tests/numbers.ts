/** Numbers of a range that Ofcom keeps for fiction, and beyond it: the simulated carrier listens on loopback alone. */
export function msisdn(index: number): string {
  return `+4477${String(index).padStart(8, '0')}`;
}
