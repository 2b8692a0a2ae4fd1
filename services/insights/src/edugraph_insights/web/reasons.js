// @ts-check
// Why a student needs help, in full sentences.

import { h, sureEnough } from './parts.js';
import { fewOf, plural, sentences, t } from './words.js';

/** Return why a student stands where a row of needs-help says. `unanswered`: mistakes after which no teacher wrote. */
export function whyOf(help, unanswered = 0) {
  const waiting = unanswered > 0 && plural('why.unanswered', unanswered);
  if (!help) return sentences([waiting]);
  if (!help.reasons.length) return sentences([t(`why.${help.bucket}`), waiting]);
  return sentences([...help.reasons.map(reason => inWords(reason, help)), waiting]);
}

function inWords(reason, help) {
  const days = help.school_days_inactive ?? null;
  if (reason === 'inactive') return days === null ? t('why.never') : plural('why.inactive', days);
  const behind = { stuck: help.stuck_at, 'repeated mistakes': help.repeated };
  const sentence = t(`why.${reason}`, { what: fewOf(behind[reason] ?? []) });
  if (reason !== 'below the course') return sentences([sentence]);
  const points = help.low_at ?? [];
  const isSure = sureEnough(help.estimate ?? null, help.low ?? null, help.high ?? null) !== null;
  return sentences([sentence, !isSure && t('why.few_answers'), points.length > 0 && t('why.low_at', { what: fewOf(points) })]);
}

/** Return a note that most of the course is inactive, so that nobody is named for this reason; nothing if they are not. */
export function courseInactive(help) {
  const away = help?.left_out['inactivity of students, since most of the course is inactive'] ?? 0;
  return away > 0 && h('p', { class: 'note' }, plural('help.course_inactive', away));
}
