// Makes a machine safe to be used again: whatever a run can reach of it besides
// its own objects can no longer be changed.
(function (Set) {
  'use strict';

  // An object may have a property of its own by a name that its frozen
  // prototype has, too. Plain freezing would forbid to assign it.
  const allowOwn = (prototype, names) => names.forEach(name => {
    const was = Object.getOwnPropertyDescriptor(prototype, name);
    if (!was || !('value' in was)) return;
    Object.defineProperty(prototype, name, {
      get: () => was.value,
      set(value) {
        if (this === prototype) throw new TypeError('Cannot assign to read only property ' + String(name));
        Object.defineProperty(this, name, { value, writable: true, configurable: true, enumerable: true });
      },
      configurable: false,
      enumerable: was.enumerable,
    });
  });
  allowOwn(Object.prototype, Object.getOwnPropertyNames(Object.prototype));
  [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, InternalError, MemoryError].forEach(
    kind => allowOwn(kind.prototype, ['name', 'message', 'toString', 'constructor']));

  const found = [globalThis, Object.getPrototypeOf(async function () {}), Object.getPrototypeOf(function* () {}),
    Object.getPrototypeOf([][Symbol.iterator]()), Object.getPrototypeOf(''[Symbol.iterator]())];
  const note = value => {
    if (value !== null && (typeof value === 'object' || typeof value === 'function')) found[found.length] = value;
  };
  ['crypto', 'querystring', 'cloudfront', 'buffer'].forEach(name => {
    try { note(require(name)); } catch (e) { /* not in this runtime */ }
  });
  const known = new Set(), freeze = Object.freeze, prototypeOf = Object.getPrototypeOf, all = Object.getOwnPropertyDescriptors;
  const names = Object.getOwnPropertyNames, symbols = Object.getOwnPropertySymbols;
  const scan = (properties, keys) => {
    for (let i = 0; i < keys.length; i++) {
      const property = properties[keys[i]];
      note(property.value);
      note(property.get);
      note(property.set);
    }
  };
  while (found.length) {
    const object = found[found.length - 1];
    found.length--;
    if (known.has(object)) continue;
    known.add(object);
    note(prototypeOf(object));
    const properties = all(object);
    scan(properties, names(properties));
    scan(properties, symbols(properties));
    freeze(object);
  }
})
