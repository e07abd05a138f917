import { describe, expect, it } from 'vitest';
import { makeApp } from './testing.ts';

interface Operation {
  summary?: string;
  security?: { apiKey: string[] }[];
  parameters?: { name: string; in: string; required?: boolean }[];
  requestBody?: { required?: boolean; content: Record<string, unknown> };
  responses: Record<string, { description: string; content?: Record<string, { schema: { $ref?: string } }> }>;
}

async function describedApi() {
  const { app, call } = makeApp({ version: '9.9.9' });
  const document = (await call('GET', '/openapi.json')).json;
  const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
    ([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );
  return { app, call, document, operations };
}

function* refsOf(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === '$ref') yield inner as string;
    else yield* refsOf(inner);
  }
}

describe('the API description', () => {
  it('is OpenAPI 3.1, of this version', async () => {
    const { document } = await describedApi();
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'Tocsin', version: '9.9.9' } });
  });

  it('names every /v1 route that the app serves, and no other', async () => {
    const { app, operations } = await describedApi();
    const served = app.routes
      .filter(({ method, path }) => method !== 'ALL' && path.startsWith('/v1'))
      .map(({ method, path }) => `${method.toLowerCase()} ${path.replaceAll(/:([a-z]+)/gi, '{$1}')}`);
    const described = operations.map(({ method, path }) => `${method} ${path}`);
    expect(described.length).toBeGreaterThanOrEqual(12);
    expect(new Set(described)).toEqual(new Set(served));
  });

  it('has no reference to nowhere', async () => {
    const { document } = await describedApi();
    const refs = [...refsOf(document)];
    expect(refs.length).toBeGreaterThan(20);
    for (const ref of refs) {
      const target = ref
        .split('/')
        .slice(1)
        .reduce((value, part) => value?.[part], document);
      expect(target, ref).toBeTypeOf('object');
    }
  });

  it('gives each operation a summary, a scope, its path parameters, and problem documents for all refusals', async () => {
    const { document, operations } = await describedApi();
    expect(document.components.securitySchemes.apiKey).toMatchObject({ type: 'http', scheme: 'bearer' });
    for (const { path, method, operation } of operations) {
      const name = `${method} ${path}`;
      expect(operation.summary, name).toBeTypeOf('string');
      expect(operation.security?.[0]?.apiKey[0], name).toMatch(/^[a-z]+:(read|write|control)$/);
      const wanted = [...path.matchAll(/\{([a-z]+)\}/gi)].map((match) => match[1]);
      const given = (operation.parameters ?? []).filter((each) => each.in === 'path' && each.required === true);
      expect(
        given.map((each) => each.name),
        name,
      ).toEqual(wanted);
      if (operation.requestBody !== undefined) expect(operation.requestBody.required, name).toBe(true);
      const statuses = Object.keys(operation.responses);
      expect(statuses, name).toEqual(expect.arrayContaining(['401', '403', '500', '503']));
      for (const [status, response] of Object.entries(operation.responses)) {
        if (Number(status) < 400) continue;
        expect(response.content?.['application/problem+json']?.schema.$ref, `${name} ${status}`).toBe(
          '#/components/schemas/Problem',
        );
      }
    }
  });

  it('shows no transform as a gap: every schema says what it is', async () => {
    const { document } = await describedApi();
    for (const [name, schema] of Object.entries(document.components.schemas as Record<string, { type?: string }>)) {
      expect(schema.type, name).toBe('object');
    }
    const { properties, required } = document.components.schemas.AlertRequest;
    expect(required).toEqual(['lane', 'content', 'target']);
    expect(properties.expiresAt).toMatchObject({ type: ['string', 'null'], format: 'date-time' });
    expect(properties.target.properties.recipients.items.properties.msisdn).toMatchObject({ type: 'string' });
  });
});

describe('the docs page', () => {
  it('loads nothing from elsewhere and runs nothing inline', async () => {
    const { call } = makeApp();
    const page = await call('GET', '/docs');
    expect(page.status).toBe(200);
    const csp = page.headers.get('content-security-policy') ?? '';
    expect(csp).toContain("default-src 'none'");
    expect(csp).not.toContain('unsafe');
    expect(csp).not.toContain('http');
    expect(page.text).not.toMatch(/<script>|style=|\son[a-z]+=|https?:/);
    const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(files).toHaveLength(3);
    for (const file of files) {
      const asset = await call('GET', file);
      expect([asset.status, asset.text.length > 100], file).toEqual([200, true]);
      const again = await call('GET', file, undefined, { 'if-none-match': asset.headers.get('etag') ?? '' });
      expect(again.status, file).toBe(304);
    }
    expect((await call('GET', '/docs/init.js')).text).toContain('validatorUrl: null');
  });

  it('serves no other file of the package', async () => {
    const { call } = makeApp();
    for (const file of ['index.html', 'package.json', '..%2fpackage.json', 'swagger-ui-bundle.js.map']) {
      expect((await call('GET', `/docs/${file}`)).status, file).toBe(404);
    }
  });
});
