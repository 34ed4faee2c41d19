// Opens pages of the command line in Chromium, as a reader would: on a telephone, a tablet and a desk,
// light and dark. A page fails for an error on the console, for a request to anywhere, for a part that
// is wider than the window, and for what axe-core calls serious or critical.
//
//   npm ci --prefix tests/pages
//   node tests/pages/look.js .local/reports/*.html
//   node tests/pages/look.js --pictures target/pages PAGE.html    # keeps screenshots and an A4 PDF
//
// CHROMIUM is the browser (default: /usr/bin/chromium). The exit code is 1 if a page fails.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { chromium } from 'playwright-core';

const WIDTHS = [390, 800, 1400];
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const { values, positionals } = parseArgs({
  options: { pictures: { type: 'string' } },
  allowPositionals: true,
});
if (positionals.length === 0) {
  console.error('error: no page is named\n  next: node tests/pages/look.js .local/reports/*.html');
  process.exit(2);
}
if (values.pictures) mkdirSync(values.pictures, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
let failed = 0;
try {
  for (const page of positionals) failed += await look(page);
} finally {
  await browser.close();
}
console.log(failed === 0 ? `${positionals.length} pages, nothing found` : `${failed} findings`);
process.exit(failed === 0 ? 0 : 1);

// Returns the number of findings.
async function look(page) {
  const address = pathToFileURL(resolve(page)).href;
  const name = basename(page, '.html');
  let found = 0;
  const finding = (where, what) => {
    found += 1;
    console.log(`${name}, ${where}: ${what}`);
  };

  for (const width of WIDTHS) {
    for (const colorScheme of ['light', 'dark']) {
      const where = `${width} pixels, ${colorScheme}`;
      // First with the page's own security policy in force, then without it, because axe-core is a
      // script that the policy refuses.
      for (const bypassCSP of [false, true]) {
        const context = await browser.newContext({
          viewport: { width, height: 900 },
          colorScheme,
          bypassCSP,
        });
        const tab = await context.newPage();
        tab.on('console', (line) => {
          if (['error', 'warning'].includes(line.type())) finding(where, `console: ${line.text()}`);
        });
        tab.on('pageerror', (error) => finding(where, `console: ${error}`));
        tab.on('request', (request) => {
          if (request.url() !== address) finding(where, `a request to ${request.url()}`);
        });
        await tab.goto(address);
        if (bypassCSP) await inspect(tab, where, finding);
        if (!bypassCSP && values.pictures) {
          const path = join(values.pictures, `${name}-${width}-${colorScheme}.png`);
          await tab.screenshot({ path, fullPage: true });
          if (width === 800) {
            await tab.pdf({ path: join(values.pictures, `${name}.pdf`), format: 'A4' });
          }
        }
        await context.close();
      }
    }
  }

  console.log(`${name}: ${found === 0 ? 'nothing found' : `${found} findings`}`);
  return found;
}

async function inspect(tab, where, finding) {
  const wider = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wider > 0) finding(where, `${wider} pixels wider than the window`);

  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => globalThis.axe.run());
  for (const { id, impact, nodes } of violations) {
    if (['serious', 'critical'].includes(impact)) {
      finding(where, `axe-core: ${impact}: ${id}, for example ${nodes[0].html.slice(0, 120)}`);
    }
  }
}
