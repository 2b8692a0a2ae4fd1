// Mistakes that only a run of the line would show. How the code looks is not checked here.

// What browsers give to a module, as far as the page uses it.
const BROWSER = [
  'AbortController', 'AbortSignal', 'Blob', 'CSS', 'CustomEvent', 'Event', 'File', 'Headers', 'IntersectionObserver', 'Intl',
  'MessageChannel', 'MutationObserver', 'ResizeObserver', 'Response', 'TextDecoder', 'TextDecoderStream', 'TextEncoder', 'URL', 'URLSearchParams',
  'XMLHttpRequest', 'addEventListener', 'atob', 'btoa', 'clearInterval', 'clearTimeout', 'console', 'crypto', 'dispatchEvent',
  'document', 'fetch', 'getComputedStyle', 'history', 'innerHeight', 'innerWidth', 'location', 'matchMedia',
  'navigator', 'performance', 'print', 'queueMicrotask', 'removeEventListener', 'reportError',
  'requestAnimationFrame', 'scrollTo', 'scrollX', 'scrollY', 'setInterval', 'setTimeout', 'structuredClone', 'window',
];

export default [
  { ignores: ['**/vendor/**'] },
  {
    files: ['**/*.js'],
    languageOptions: {
      ecmaVersion: 2024,
      sourceType: 'module',
      globals: Object.fromEntries(BROWSER.map(name => [name, 'readonly'])),
    },
    rules: {
      eqeqeq: 'error',
      'no-const-assign': 'error',
      'no-dupe-else-if': 'error',
      'no-dupe-keys': 'error',
      'no-fallthrough': 'error',
      'no-import-assign': 'error',
      'no-redeclare': 'error',
      'no-self-compare': 'error',
      'no-undef': 'error',
      'no-unreachable': 'error',
      'no-unused-expressions': 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      'no-var': 'error',
      'prefer-const': 'error',
      'use-isnan': 'error',
      'valid-typeof': 'error',
    },
  },
  { files: ['**/tests/*.js'], languageOptions: { globals: { globalThis: 'writable', setImmediate: 'readonly' } } },
];
