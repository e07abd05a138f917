/**
 * The tables of 3GPP TS 23.038: the GSM 7-bit default alphabet (§6.2.1) with its extension (§6.2.1.1), and the national
 * language tables of annex A for Turkish, Spanish and Portuguese. A locking shift table stands in for the default
 * alphabet, a single shift table for the extension.
 */

/** National languages by the identifier that a user data header says them with (3GPP TS 23.038 §6.2.1.2.4). */
export const LANGUAGE_IDS = { turkish: 1, spanish: 2, portuguese: 3 } as const;
export type NationalLanguage = keyof typeof LANGUAGE_IDS;
export const NATIONAL_LANGUAGES = Object.keys(LANGUAGE_IDS) as readonly NationalLanguage[];

/** Leads to the extension, or to the single shift table. In a basic table its place holds no character. */
export const ESCAPE = 0x1b;

/** By septet, 0x00..0x7F; the escape is at its place. */
export const DEFAULT_BASIC =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
  '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';

/** A.3.1 and A.3.3. Spanish has none (A.3.2 is void). */
export const LOCKING: Readonly<Partial<Record<NationalLanguage, string>>> = {
  turkish:
    '@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bŞşßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
    'İABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§çabcdefghijklmnopqrstuvwxyzäöñüà',
  portuguese:
    '@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|\x1bÂâÊÉ !"#º%&\'()*+,-./0123456789:;<=>?' +
    'ÍABCDEFGHIJKLMNOPQRSTUVWXYZÃÕÚÜ§~abcdefghijklmnopqrstuvwxyzãõ`üà',
};

type Extension = readonly (readonly [septet: number, character: string])[];

export const DEFAULT_EXTENSION: Extension = [
  [0x0a, '\f'],
  [0x14, '^'],
  [0x28, '{'],
  [0x29, '}'],
  [0x2f, '\\'],
  [0x3c, '['],
  [0x3d, '~'],
  [0x3e, ']'],
  [0x40, '|'],
  [0x65, '€'],
];

/** A.2.1 to A.2.3: each holds the default extension, and what is listed here beside it. */
export const SINGLE: Readonly<Record<NationalLanguage, Extension>> = {
  turkish: [
    ...DEFAULT_EXTENSION,
    [0x47, 'Ğ'],
    [0x49, 'İ'],
    [0x53, 'Ş'],
    [0x63, 'ç'],
    [0x67, 'ğ'],
    [0x69, 'ı'],
    [0x73, 'ş'],
  ],
  spanish: [
    ...DEFAULT_EXTENSION,
    [0x09, 'ç'],
    [0x41, 'Á'],
    [0x49, 'Í'],
    [0x4f, 'Ó'],
    [0x55, 'Ú'],
    [0x61, 'á'],
    [0x69, 'í'],
    [0x6f, 'ó'],
    [0x75, 'ú'],
  ],
  portuguese: [
    ...DEFAULT_EXTENSION,
    [0x05, 'ê'],
    [0x09, 'ç'],
    [0x0b, 'Ô'],
    [0x0c, 'ô'],
    [0x0e, 'Á'],
    [0x0f, 'á'],
    [0x12, 'Φ'],
    [0x13, 'Γ'],
    [0x15, 'Ω'],
    [0x16, 'Π'],
    [0x17, 'Ψ'],
    [0x18, 'Σ'],
    [0x19, 'Θ'],
    [0x1f, 'Ê'],
    [0x41, 'À'],
    [0x49, 'Í'],
    [0x4f, 'Ó'],
    [0x55, 'Ú'],
    [0x5b, 'Ã'],
    [0x5c, 'Õ'],
    [0x61, 'Â'],
    [0x69, 'í'],
    [0x6f, 'ó'],
    [0x75, 'ú'],
    [0x7b, 'ã'],
    [0x7c, 'õ'],
    [0x7f, 'â'],
  ],
};
