/** The image's HEALTHCHECK: exit code 0 when the server of this container answers /healthz with 200 within 2.5 s. */
const url = `http://127.0.0.1:${process.env.PORT || 8080}/healthz`;
try {
  const { status } = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(2_500) });
  if (status !== 200) throw new Error(`status ${status}`);
} catch (error) {
  console.error(`${url}: ${(error as Error).message}`);
  process.exitCode = 1;
}
