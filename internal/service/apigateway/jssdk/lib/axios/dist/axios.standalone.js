/* The HTTP client of this SDK: one function with the call and the answers of axios, over the platform's fetch. */
(function (root) {
    'use strict';

    function failure(message, config, response) {
        var error = new Error(message);
        error.config = config;
        error.response = response;
        return error;
    }

    function parsed(text, type) {
        if (text === '' || !/json/i.test(type || '')) {
            return text;
        }
        try {
            return JSON.parse(text);
        } catch (e) {
            return text;
        }
    }

    root.axios = function (config) {
        var method = (config.method || 'GET').toUpperCase();
        var init = { method: method, headers: config.headers || {} };
        if (config.data !== undefined && config.data !== '' && method !== 'GET' && method !== 'HEAD') {
            init.body = typeof config.data === 'string' ? config.data : JSON.stringify(config.data);
        }
        var timer = null;
        if (config.timeout) {
            var controller = new AbortController();
            init.signal = controller.signal;
            timer = setTimeout(function () { controller.abort(); }, config.timeout);
        }
        return fetch(config.url, init).then(function (answer) {
            return answer.text().then(function (text) {
                var headers = {};
                answer.headers.forEach(function (value, name) { headers[name.toLowerCase()] = value; });
                var response = {
                    data: parsed(text, headers['content-type']), status: answer.status, statusText: answer.statusText,
                    headers: headers, config: config
                };
                if (answer.status < 200 || answer.status >= 300) {
                    throw failure('Request failed with status code ' + answer.status, config, response);
                }
                return response;
            });
        }).finally(function () { clearTimeout(timer); });
    };
    root.axios.standalone = root.axios;
})(typeof window !== 'undefined' ? window : globalThis);
