/**
 * /docs: the API's description as a page that works offline, under a Content-Security-Policy that lets it load nothing
 * from elsewhere and run nothing inline. Two files of swagger-ui-dist are served, no more.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { HttpEnv } from './context.ts';

const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tocsin API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/init.js"></script>
</body>
</html>
`;

/** \`validatorUrl: null\`: by default the page would send the description to a validator on the internet. */
const INIT = `window.ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  validatorUrl: null,
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
});
`;

interface Asset {
  readonly type: string;
  readonly read: () => Promise<string | Buffer> | string;
}

const require = createRequire(import.meta.url);
const ofSwagger = (file: string) => () => readFile(require.resolve(`swagger-ui-dist/${file}`));

const ASSETS: Readonly<Record<string, Asset>> = {
  '/docs': { type: 'text/html; charset=utf-8', read: () => PAGE },
  '/docs/init.js': { type: 'text/javascript; charset=utf-8', read: () => INIT },
  '/docs/swagger-ui-bundle.js': { type: 'text/javascript; charset=utf-8', read: ofSwagger('swagger-ui-bundle.js') },
  '/docs/swagger-ui.css': { type: 'text/css; charset=utf-8', read: ofSwagger('swagger-ui.css') },
};

export function docsRoutes(app: OpenAPIHono<HttpEnv>): void {
  app.get('/docs/', (c) => c.redirect('/docs', 308));
  for (const [path, { type, read }] of Object.entries(ASSETS)) {
    let loaded: Promise<{ body: Uint8Array<ArrayBuffer>; etag: string }> | undefined;
    app.get(path, async (c) => {
      loaded ??= load(read);
      const { body, etag } = await loaded;
      const headers = {
        'content-type': type,
        'content-security-policy': CSP,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-cache',
        etag,
      };
      return c.req.header('if-none-match') === etag ? c.body(null, 304, headers) : c.body(body, 200, headers);
    });
  }
}

async function load(read: Asset['read']) {
  const body = new Uint8Array(Buffer.from(await read()));
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
}
