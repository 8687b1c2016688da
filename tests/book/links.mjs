// Checks the links of a built book, or of the guides in rustdoc: `links.mjs FOLDER [ROOT]`.
//
// Each link has to lead to a file below ROOT, and to an element of it if it has a fragment. ROOT is the folder itself,
// if it is not given. Links to other sites are not followed.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const book = resolve(process.argv[2]);
const root = resolve(process.argv[3] ?? book);
const isBook = root === book;
const wrong = [];
let links = 0;

const files = readdirSync(book, { recursive: true }).map((name) => join(book, name));
// The page with all chapters repeats the others.
const generated = new Set(["print.html", "404.html", "toc.html"].map((name) => join(book, name)));
const pages = files.filter((name) => name.endsWith(".html") && !generated.has(name));
const html = new Map(pages.map((page) => [page, readFileSync(page, "utf8")]));
const ids = new Map(
  pages.map((page) => [page, new Set([...html.get(page).matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]))]),
);
const text = (value) => value.replaceAll("&amp;", "&").replaceAll("&#x27;", "'").replaceAll("&quot;", '"');

for (const page of pages) {
  // What mdBook puts around each page is the same everywhere; only the page itself is checked.
  const main = html.get(page).match(/<main>([\s\S]*)<\/main>/)?.[1] ?? html.get(page);
  for (const match of main.matchAll(/\s(?:href|src)="([^"]*)"/g)) {
    const link = text(match[1]);
    if (/^[a-z][a-z+.-]*:/i.test(link)) {
      continue;
    }
    // Pictures and other files are in the book only.
    if (!isBook && !/\.html(#|$)/.test(link)) {
      continue;
    }
    links += 1;
    const [path, fragment] = link.split("#", 2);
    const target = path ? resolve(dirname(page), decodeURIComponent(path)) : page;
    const place = `${relative(book, page)}: ${link}`;
    if (!target.startsWith(root)) {
      wrong.push(`${place}: leads out of ${relative(".", root)}`);
    } else if (!existsSync(target) || !statSync(target).isFile()) {
      wrong.push(`${place}: no such page`);
    } else if (fragment && ids.has(target) && !ids.get(target).has(decodeURIComponent(fragment))) {
      wrong.push(`${place}: the page has no such section`);
    }
  }
}

if (pages.length < 40 || links < 200) {
  wrong.push(`only ${pages.length} pages and ${links} links: the book was not read`);
}
wrong.forEach((line) => console.error(line));
console.log(`${pages.length} pages, ${links} links, ${wrong.length} wrong`);
process.exit(wrong.length ? 1 : 0);
