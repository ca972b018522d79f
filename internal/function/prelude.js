// What CloudFront's runtime has beside the language itself. It is run once in
// each new machine; native holds what only Go can do.
(function (native, modern) {
  'use strict';

  const define = (target, name, value) =>
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });
  const methods = (target, source) => {
    for (const name of Object.keys(source)) define(target, name, source[name]);
  };

  // What the language has by now and CloudFront's runtime does not.
  const without = (target, names) => names.split(' ').forEach(name => delete target[name]);
  without(globalThis, 'Map Set WeakMap WeakSet WeakRef FinalizationRegistry Proxy Reflect BigInt BigInt64Array ' +
    'BigUint64Array Intl SharedArrayBuffer Atomics GoError escape unescape');
  without(Array.prototype, 'flat flatMap at findLast findLastIndex toSorted toReversed toSpliced with');
  without(String.prototype, 'at matchAll normalize isWellFormed toWellFormed localeCompare anchor big blink bold ' +
    'fixed fontcolor fontsize italics link small strike sub sup');
  without(Object, 'fromEntries hasOwn groupBy');
  without(String, 'raw');
  if (!modern) without(String.prototype, 'replaceAll');

  // No code is made at run time.
  const refuse = what => function () { throw new TypeError(what + ' is not supported: no code can be made at run time'); };
  const FunctionPrototype = Object.getPrototypeOf(function () {});
  const noFunction = refuse('Function');
  noFunction.prototype = FunctionPrototype;
  define(globalThis, 'Function', noFunction);
  define(globalThis, 'eval', refuse('eval'));
  define(FunctionPrototype, 'constructor', noFunction);
  for (const kind of [async function () {}, function* () {}]) {
    Object.defineProperty(Object.getPrototypeOf(kind), 'constructor', { value: noFunction });
  }

  // Buffers: Uint8Arrays with another prototype.
  function Buffer() { throw new TypeError('Buffer cannot be called: use Buffer.from or Buffer.alloc'); }
  Buffer.prototype = Object.create(Uint8Array.prototype);
  define(Buffer.prototype, 'constructor', Buffer);
  Object.setPrototypeOf(Buffer, Uint8Array);
  const asBuffer = bytes => Object.setPrototypeOf(bytes, Buffer.prototype);
  const fromString = (text, encoding) => asBuffer(new Uint8Array(native.bytes(text, encoding)));
  const isBuffer = value => value instanceof Buffer;
  const toBuffer = (value, encoding) => {
    if (typeof value === 'string') return fromString(value, encoding);
    if (value instanceof Uint8Array) return value;
    throw new TypeError('a string, a Buffer or a Uint8Array is needed');
  };
  const range = (index, length, other) => {
    if (index === undefined) return other;
    index = Math.trunc(index) || 0;
    return index < 0 ? 0 : index > length ? length : index;
  };
  const compare = (a, b) => {
    const n = Math.min(a.length, b.length);
    for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
    return a.length < b.length ? -1 : a.length > b.length ? 1 : 0;
  };

  methods(Buffer, {
    from(value, second, length) {
      if (typeof value === 'string') return fromString(value, second);
      if (value instanceof ArrayBuffer) return asBuffer(new Uint8Array(value, second, length));
      if (value !== null && typeof value === 'object') {
        if (value.type === 'Buffer' && Array.isArray(value.data)) return asBuffer(Uint8Array.from(value.data));
        if (typeof value.length === 'number') return asBuffer(Uint8Array.from(value));
        const primitive = value.valueOf();
        if (typeof primitive === 'string') return fromString(primitive, second);
      }
      throw new TypeError('Buffer.from takes a string, an array, a buffer or an ArrayBuffer');
    },
    alloc(size, fill, encoding) {
      const buffer = asBuffer(new Uint8Array(size));
      return fill === undefined ? buffer : buffer.fill(fill, 0, size, encoding);
    },
    allocUnsafe: size => asBuffer(new Uint8Array(size)),
    byteLength: (value, encoding) => typeof value === 'string' ? native.bytes(value, encoding).byteLength : value.byteLength,
    compare: (a, b) => compare(toBuffer(a), toBuffer(b)),
    concat(list, total) {
      let size = 0;
      for (let i = 0; i < list.length; i++) size += list[i].length;
      const all = asBuffer(new Uint8Array(total === undefined ? size : total));
      let at = 0;
      for (let i = 0; i < list.length && at < all.length; i++) {
        all.set(list[i].subarray(0, all.length - at), at);
        at += list[i].length;
      }
      return all;
    },
    isBuffer,
    isEncoding: name => typeof name === 'string' && native.isEncoding(name),
  });

  const search = (buffer, value, offset, encoding, back) => {
    const wanted = typeof value === 'number' ? [value & 255] : toBuffer(value, encoding);
    const last = buffer.length - wanted.length;
    let from = offset === undefined ? (back ? last : 0) : Math.trunc(offset) || 0;
    if (from < 0) from += buffer.length;
    if (back) from = Math.min(from, last); else from = Math.max(from, 0);
    for (let i = from; back ? i >= 0 : i <= last; i += back ? -1 : 1) {
      let j = 0;
      while (j < wanted.length && buffer[i + j] === wanted[j]) j++;
      if (j === wanted.length) return i;
    }
    return -1;
  };
  const swap = (buffer, size) => {
    if (buffer.length % size) throw new RangeError('Buffer size must be a multiple of ' + size * 8 + '-bits');
    for (let i = 0; i < buffer.length; i += size) buffer.subarray(i, i + size).reverse();
    return buffer;
  };

  methods(Buffer.prototype, {
    toString(encoding, start, end) {
      const from = range(start, this.length, 0);
      return native.text(this.subarray(from, Math.max(from, range(end, this.length, this.length))), encoding);
    },
    toJSON() { return { type: 'Buffer', data: Array.from(this) }; },
    equals(other) { return compare(this, other) === 0; },
    compare(other, start, end, ownStart, ownEnd) {
      return compare(this.subarray(range(ownStart, this.length, 0), range(ownEnd, this.length, this.length)),
        other.subarray(range(start, other.length, 0), range(end, other.length, other.length)));
    },
    copy(target, at, start, end) {
      at = range(at, target.length, 0);
      const part = this.subarray(range(start, this.length, 0), range(end, this.length, this.length));
      const fits = part.subarray(0, target.length - at);
      target.set(fits, at);
      return fits.length;
    },
    fill(value, start, end, encoding) {
      if (typeof start === 'string') { encoding = start; start = end = undefined; }
      start = range(start, this.length, 0);
      end = range(end, this.length, this.length);
      if (typeof value === 'number') return Uint8Array.prototype.fill.call(this, value & 255, start, end);
      const bytes = toBuffer(value, encoding);
      for (let i = start; i < end; i++) this[i] = bytes.length ? bytes[(i - start) % bytes.length] : 0;
      return this;
    },
    slice(start, end) { return this.subarray(start, end); },
    subarray(start, end) { return asBuffer(Uint8Array.prototype.subarray.call(asPlain(this), start, end)); },
    write(text, offset, length, encoding) {
      if (typeof offset === 'string') { encoding = offset; offset = length = undefined; }
      else if (typeof length === 'string') { encoding = length; length = undefined; }
      offset = range(offset, this.length, 0);
      const bytes = fromString(text, encoding).subarray(0, Math.min(this.length - offset, length === undefined ? Infinity : length));
      this.set(bytes, offset);
      return bytes.length;
    },
    indexOf(value, offset, encoding) { return search(this, value, offset, encoding, false); },
    lastIndexOf(value, offset, encoding) { return search(this, value, offset, encoding, true); },
    includes(value, offset, encoding) { return search(this, value, offset, encoding, false) >= 0; },
    swap16() { return swap(this, 2); },
    swap32() { return swap(this, 4); },
    swap64() { return swap(this, 8); },
  });
  function asPlain(buffer) { return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length); }

  // read… and write…: fixed sizes by DataView, one to six bytes by hand.
  const view = buffer => new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  [['Int8', 'Int8', 1], ['UInt8', 'Uint8', 1], ['Int16', 'Int16', 2], ['UInt16', 'Uint16', 2], ['Int32', 'Int32', 4],
    ['UInt32', 'Uint32', 4], ['Float', 'Float32', 4], ['Double', 'Float64', 8]].forEach(kind => {
    (kind[2] === 1 ? [''] : ['LE', 'BE']).forEach(order => {
      const little = order === 'LE';
      define(Buffer.prototype, 'read' + kind[0] + order, function (at) { return view(this)['get' + kind[1]](at || 0, little); });
      define(Buffer.prototype, 'write' + kind[0] + order, function (value, at) {
        view(this)['set' + kind[1]](at || 0, value, little);
        return (at || 0) + kind[2];
      });
    });
  });
  const sized = (buffer, at, size) => {
    if (!(size >= 1 && size <= 6)) throw new RangeError('byteLength must be from 1 to 6');
    if (!(at >= 0 && at + size <= buffer.length)) throw new RangeError('index is outside of the buffer');
  };
  ['LE', 'BE'].forEach(order => {
    const place = (i, size) => order === 'LE' ? i : size - 1 - i;
    const readUInt = function (at, size) {
      sized(this, at, size);
      let value = 0;
      for (let i = size - 1; i >= 0; i--) value = value * 256 + this[at + place(i, size)];
      return value;
    };
    const write = function (value, at, size) {
      sized(this, at, size);
      if (value < 0) value += Math.pow(256, size);
      for (let i = 0; i < size; i++) { this[at + place(i, size)] = value % 256; value = Math.floor(value / 256); }
      return at + size;
    };
    define(Buffer.prototype, 'readUInt' + order, readUInt);
    define(Buffer.prototype, 'readInt' + order, function (at, size) {
      const value = readUInt.call(this, at, size);
      return value >= Math.pow(2, size * 8 - 1) ? value - Math.pow(256, size) : value;
    });
    define(Buffer.prototype, 'writeUInt' + order, write);
    define(Buffer.prototype, 'writeInt' + order, write);
  });

  // Text, in and out of bytes.
  function TextEncoder() { if (!new.target) throw new TypeError('TextEncoder needs new'); }
  methods(TextEncoder.prototype, {
    encode: text => new Uint8Array(native.bytes(text === undefined ? '' : String(text), 'utf8')),
    encodeInto(text, target) {
      let read = 0, written = 0;
      for (const char of String(text)) {
        const bytes = new Uint8Array(native.bytes(char, 'utf8'));
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        read += char.length;
        written += bytes.length;
      }
      return { read, written };
    },
  });
  Object.defineProperty(TextEncoder.prototype, 'encoding', { get: () => 'utf-8', configurable: true });
  function TextDecoder(label, options) {
    if (!new.target) throw new TypeError('TextDecoder needs new');
    if (label !== undefined && !/^utf-?8$/i.test(label)) throw new RangeError('The "' + label + '" encoding is not supported');
    define(this, 'fatal', !!(options && options.fatal));
    define(this, 'ignoreBOM', !!(options && options.ignoreBOM));
  }
  methods(TextDecoder.prototype, {
    decode(bytes) {
      if (bytes === undefined) return '';
      const whole = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const text = native.text(whole, 'utf8');
      if (this.fatal && !native.isUTF8(whole)) throw new TypeError('The encoded data was not valid');
      return !this.ignoreBOM && text.charCodeAt(0) === 0xFEFF ? text.slice(1) : text;
    },
  });
  Object.defineProperty(TextDecoder.prototype, 'encoding', { get: () => 'utf-8', configurable: true });

  // Hashes.
  const digest = sum => function (encoding) {
    const bytes = asBuffer(new Uint8Array(sum()));
    if (encoding !== undefined) return native.text(bytes, encoding);
    return modern ? bytes : native.text(bytes, 'latin1');
  };
  const hashing = start => {
    const hash = {
      update(data, encoding) { start.update(typeof data === 'string' ? new Uint8Array(native.bytes(data, encoding)) : data); return hash; },
      digest: digest(start.sum),
    };
    return hash;
  };
  const crypto = {
    createHash: algorithm => hashing(native.hash(String(algorithm))),
    createHmac: (algorithm, key) =>
      hashing(native.hash(String(algorithm), typeof key === 'string' ? new Uint8Array(native.bytes(key)) : key)),
  };

  // Query strings, as in Node.js.
  const querystring = {
    escape: encodeURIComponent,
    unescape: text => native.unescape(String(text)),
    parse(text, separator, equal, options) {
      const result = Object.create(null);
      if (typeof text !== 'string' || text === '') return result;
      const decode = options && typeof options.decodeURIComponent === 'function' ? options.decodeURIComponent : querystring.unescape;
      const limit = options && typeof options.maxKeys === 'number' ? options.maxKeys : 1000;
      let parts = text.split(separator || '&');
      if (limit > 0) parts = parts.slice(0, limit);
      parts.forEach(part => {
        if (part === '') return;
        const at = part.indexOf(equal || '=');
        const name = decode((at < 0 ? part : part.slice(0, at)).replace(/\+/g, ' '));
        const value = at < 0 ? '' : decode(part.slice(at + (equal || '=').length).replace(/\+/g, ' '));
        if (!(name in result)) result[name] = value;
        else if (Array.isArray(result[name])) result[name].push(value);
        else result[name] = [result[name], value];
      });
      return result;
    },
    stringify(object, separator, equal, options) {
      if (object === null || typeof object !== 'object') return '';
      const encode = options && typeof options.encodeURIComponent === 'function' ? options.encodeURIComponent : querystring.escape;
      const plain = value => typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number' && isFinite(value) ? String(value) : '';
      const pairs = [];
      Object.keys(object).forEach(name => {
        const values = Array.isArray(object[name]) ? object[name] : [object[name]];
        values.forEach(value => pairs.push(encode(name) + (equal || '=') + encode(plain(value))));
      });
      return pairs.join(separator || '&');
    },
  };
  querystring.decode = querystring.parse;
  querystring.encode = querystring.stringify;

  const modules = { crypto, querystring };
  if (modern) {
    modules.cloudfront = native.cloudfront;
    modules.buffer = { Buffer };
    methods(globalThis, { Buffer, TextEncoder, TextDecoder, atob: native.atob, btoa: native.btoa });
    modules.cloudfront.default = modules.cloudfront;
    define(modules.cloudfront, 'default', modules.cloudfront);
  } else {
    // Strings of bytes: one character, 0 to 255, for each.
    const bytesOf = (text, from, to) => text.slice(from || 0, to === undefined ? text.length : to);
    const octets = text => {
      const bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      return bytes;
    };
    const isBytes = text => !/[^\x00-\xff]/.test(text);
    define(String, 'bytesFrom', (source, encoding) =>
      native.text(typeof source === 'string' ? new Uint8Array(native.bytes(source, encoding)) : Uint8Array.from(source), 'latin1'));
    methods(String.prototype, {
      fromBytes(from, to) { return bytesOf(String(this), from, to); },
      fromUTF8(from, to) {
        const bytes = octets(bytesOf(String(this), from, to));
        return native.isUTF8(bytes) ? native.text(bytes, 'utf8') : null;
      },
      toBytes(from, to) { const text = bytesOf(String(this), from, to); return isBytes(text) ? text : null; },
      toUTF8(from, to) { return native.text(new Uint8Array(native.bytes(bytesOf(String(this), from, to), 'utf8')), 'latin1'); },
    });
  }
  define(globalThis, 'require', name => {
    if (!Object.prototype.hasOwnProperty.call(modules, name)) throw new Error('Cannot find module "' + name + '"');
    return modules[name];
  });
  define(globalThis, 'console', native.console);
  define(globalThis, 'global', globalThis);
  ['InternalError', 'MemoryError'].forEach(name => {
    const made = function (message) {
      const error = new Error(message);
      return Object.setPrototypeOf(error, made.prototype);
    };
    made.prototype = Object.create(Error.prototype);
    define(made.prototype, 'constructor', made);
    define(made.prototype, 'name', name);
    define(globalThis, name, made);
  });
})
