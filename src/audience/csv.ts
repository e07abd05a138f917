/** stub */
export class CsvHeaderError extends Error {
  override readonly name = 'CsvHeaderError';
}
