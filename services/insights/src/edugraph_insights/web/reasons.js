// Why a student needs help, in full sentences.

import { fewOf, plural, sentences, t } from './words.js';

/** Return why a student stands where a row of needs-help says. `unanswered`: mistakes after which no teacher wrote. */
export function whyOf(help, unanswered = 0) {
  const waiting = unanswered > 0 && plural('why.unanswered', unanswered);
  if (!help) return sentences([waiting]);
  if (!help.reasons.length) return sentences([t(`why.${help.bucket}`), waiting]);
  return sentences([...help.reasons.map(reason => inWords(reason, help)), waiting]);
}

function inWords(reason, help) {
  const days = help.school_days_inactive;
  if (reason === 'inactive') return days === null ? t('why.never') : plural('why.inactive', days);
  const behind = { stuck: help.stuck_at, 'repeated mistakes': help.repeated };
  const sentence = t(`why.${reason}`, { what: fewOf(behind[reason] ?? []) });
  const hasPoints = reason === 'below the course' && help.low_at.length > 0;
  return sentences([sentence, hasPoints && t('why.low_at', { what: fewOf(help.low_at) })]);
}
