// node lifecycle.js pg|drizzle PREFIX: goes through the life of a deal, and prints what came of it as JSON. The
// database is that of PGHOST, PGDATABASE and the like; PREFIX keeps the external ids of two runs apart.
const [way, prefix] = process.argv.slice(2);
if (!['pg', 'drizzle'].includes(way) || !prefix) {
  console.error('usage: node lifecycle.js pg|drizzle PREFIX');
  process.exit(2);
}
const { lifecycle } = await import(`./with-${way}.js`);
console.log(JSON.stringify(await lifecycle(prefix), null, 2));
