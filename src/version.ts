import manifest from '../package.json' with { type: 'json' };

/** Of the package, as package.json says. */
export const version: string = manifest.version;
