// @ts-check
// Why a record was set aside, in the language of the reader. The API says it in English; words/rejects.json has the Chinese
// sentence of each, and a test meets every sentence that the readers of files can say.

import { listIn } from './api.js';
import { asEnglish } from './parts.js';
import { language } from './words.js';

let patterns = null; // [pattern, Chinese sentence], loaded when the first reject is shown in Chinese

/** Load what is needed to tell rejects in the language of the reader. */
export async function learnRejects() {
  if (language !== 'zh' || patterns) return;
  const pairs = await listIn('words/rejects.json');
  patterns = pairs.map(([english, chinese]) => [patternOf(english), chinese]);
}

/** `{w…}` is one word of the sentence, any other `{name}` is any text. */
function patternOf(english) {
  const parts = english.split(/\{(\w+)\}/);
  const source = parts.map((part, place) => (place % 2 ? `(?<${part}>${part.startsWith('w') ? '\\S+' : '.*'})` : part.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')));
  return new RegExp(`^${source.join('')}$`, 'is');
}

/** Return a reason, or a form that was expected. What has no Chinese sentence is marked as English. */
export function inReadersWords(english) {
  if (language !== 'zh' || /^[\w.-]*(, [\w.-]+)*$/.test(english)) return english; // names of fields are in no language
  for (const [pattern, chinese] of patterns ?? []) {
    const found = pattern.exec(english);
    if (found) return chinese.replace(/\{(\w+)\}/g, (_, name) => found.groups[name]);
  }
  return asEnglish(english);
}
