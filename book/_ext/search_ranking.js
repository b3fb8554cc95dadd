// The order of what a search finds. Sphinx's own puts a name of the API before the chapter that explains it, and gives
// all pages that say a word the same rank. This takes the place of `Search._performSearch` and returns what that returns.

const NAMED = 30; // an entry of the index, or a heading, that is what was asked for
const OBJECT = 20; // a name of the API that is what was asked for
const TITLE = 12; // the title of a page
const HEADING = 3; // a heading that has what was asked for among other words
const LISTED = 0.3; // a page that lists what chapters explain
const LISTS = /(intro|glossary|notation|bibliography|licenses|changelog|cite|equality_ledger|api\w*)$/;

const stems = (text) => {
  const stemmer = new Stemmer();
  const asked = (word) => !stopwords.includes(word) && !/^\d+$/.test(word);
  return splitQuery(text.toLowerCase()).filter(asked).map((word) => stemmer.stemWord(word));
};

// How well a word is what was asked for: as a whole, or as a part of a name.
const meets = (asked, word) => (word === asked ? 1 : asked.length > 2 && word.includes(asked) ? 0.4 : 0);

// How much each section, and each page, says of a word. Rare words count more, and the tenth time counts little.
const said = (asked, { counts, docnames, sections }) => {
  const times = new Map(), onPages = new Map();
  for (const word of Object.keys(counts).filter((word) => meets(asked, word))) {
    for (let i = 0; i < counts[word].length; i += 2) {
      const [section, often] = counts[word].slice(i, i + 2);
      times.set(section, Math.max(times.get(section) || 0, meets(asked, word) * often));
    }
  }
  for (const [section, often] of times) {
    const [page] = sections[section];
    onPages.set(page, (onPages.get(page) || 0) + often);
  }
  const rarity = Math.log(1 + docnames.length / (onPages.size || 1));
  const weighed = (found) => new Map([...found].map(([place, often]) => [place, rarity * Math.log2(1 + often)]));
  return { sections: weighed(times), pages: weighed(onPages) };
};

// Whether a name has all words that were asked for, and how much of either is in the other.
const likeness = (asked, name) => {
  const words = stems(name);
  const best = asked.map((word) => Math.max(0, ...words.map((other) => meets(word, other))));
  const hits = words.filter((word) => asked.some((other) => meets(other, word))).length;
  const share = best.reduce((sum, each) => sum + each, 0) / asked.length;
  return { all: best.every((each) => each > 0), share: share * (hits / (words.length || 1)) };
};

// The section of each page whose heading, or whose entry in the index, is most like what was asked for.
const named = (asked, { alltitles, indexentries }) => {
  const found = new Map();
  for (const [name, places] of [...Object.entries(alltitles), ...Object.entries(indexentries)]) {
    const { all, share } = likeness(asked, name);
    for (const [page, id] of all ? places : []) {
      if (share > (found.get(page)?.share || 0)) found.set(page, { id, share });
    }
  }
  return found;
};

// The section of each page that says most of what was asked for.
const telling = (scores, { sections }) => {
  const found = new Map();
  for (const [number, [page, id]] of sections.entries()) {
    const much = scores.reduce((sum, score) => sum + (score.sections.get(number) || 0), 0);
    if (much > (found.get(page)?.much || 0)) found.set(page, { id, much });
  }
  return found;
};

const heading = ({ alltitles }, page, anchor) =>
  Object.keys(alltitles).find((title) => alltitles[title].some(([doc, id]) => doc === page && id === anchor));

const sum = (scores, page) => scores.reduce((total, score) => total + (score.pages.get(page) || 0), 0);

const pageResult = (index, asked, page, text, section) => {
  const title = likeness(asked, index.titles[page]);
  const name = section?.share ? (NAMED - HEADING) * section.share ** 2 + HEADING : 0;
  const anchor = title.all ? null : section?.id; // a chapter about it is read from its beginning
  const below = anchor && heading(index, page, anchor); // none for the page's own title
  const score = (text + TITLE * title.share + name) * (LISTS.test(index.docnames[page]) ? LISTED : 1);
  const label = index.titles[page] + (below ? ` › ${below}` : "");
  return [index.docnames[page], label, anchor ? `#${anchor}` : "", null, score, index.filenames[page]];
};

const objectResults = (terms) => {
  const found = [...terms].flatMap((term) => Search.performObjectSearch(term, terms));
  for (const item of found) {
    const name = item[1].split(".").pop();
    item[4] = terms.has(name.toLowerCase()) ? OBJECT : 0;
    item[3] = `${item[1]}, ${item[3]}`;
    item[1] = name;
  }
  return [...new Map(found.map((item) => [item[2], item])).values()];
};

Search._performSearch = (query, _terms, _excluded, _highlight, objectTerms) => {
  const index = Search._index, asked = [...new Set(stems(query))];
  if (!asked.length) return [];
  const scores = asked.map((word) => said(word, index));
  const sections = new Map([...telling(scores, index), ...named(asked, index)]); // a name goes before what is said
  const every = [...new Set(scores.flatMap((score) => [...score.pages.keys()]))];
  const all = every.filter((page) => scores.every((score) => score.pages.has(page)));
  const results = (all.length ? all : every).map((page) =>
    pageResult(index, asked, page, sum(scores, page) / asked.length, sections.get(page)));
  // Sphinx takes the results from the end.
  return [...results, ...objectResults(objectTerms)].sort((a, b) => a[4] - b[4] || b[1].localeCompare(a[1]));
};
