// Sphinx's search: the pages that answer a question come before those that mention its words.
var Scorer = {
  score: ([page, , , , score]) =>
    score + ({ "book/start/practice": 25, "book/reference/notation": 15 }[page] ?? 0),
  objNameMatch: 5,
  objPartialMatch: 3,
  objPrio: { 0: 5, 1: 0, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
