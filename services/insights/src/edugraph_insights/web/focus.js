// @ts-check
// Where somebody who uses the keyboard is, while a part of the page is replaced: with it their place would be lost, and
// they would begin at the top again. A control that comes anew has the same name in `data-keep-focus`.

/** Note which control of a part of the page has the focus, and where its caret is; null if none of it has. */
export function focusIn(place) {
  const element = /** @type {HTMLInputElement | null} */ (document.activeElement);
  if (!element || !place.contains(element)) return null;
  const caret = element.matches('textarea, input[type=search], input:not([type])') ? [element.selectionStart, element.selectionEnd] : null;
  return { name: element.dataset.keepFocus, caret };
}

/**
 * Give the focus back, if it is lost: to the control of the same name, or without one to `otherwise`. Return whether
 * they are where they were, or have gone elsewhere meanwhile.
 */
export function giveBack(noted, otherwise = null) {
  const isLost = !document.activeElement || document.activeElement === document.body;
  if (!noted || !isLost) return true;
  const named = noted.name && document.querySelector(`[data-keep-focus="${CSS.escape(noted.name)}"]`);
  const control = /** @type {HTMLInputElement | null} */ (named);
  if (control && !control.disabled) {
    control.focus({ preventScroll: true });
    if (noted.caret) control.setSelectionRange(noted.caret[0], noted.caret[1]);
    return true;
  }
  if (otherwise) {
    if (otherwise.tabIndex < 0) otherwise.tabIndex = -1; // a heading takes it from a script alone
    otherwise.focus({ preventScroll: true });
  }
  return false;
}

/** Replace a part of the page. Who was in it gets to the same control of the new part, or else to `otherwise()` of it. */
export function keepingFocus(place, replace, otherwise = () => null) {
  const noted = focusIn(place);
  replace();
  giveBack(noted, otherwise());
}
